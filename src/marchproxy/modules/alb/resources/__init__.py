"""Resources: routes, pools and limits in, Envoy's clusters, endpoints, routes and listeners out. No I/O."""

from marchproxy.modules.alb.resources.build import Builder
from marchproxy.modules.alb.resources.listener import ListenerSpec

__all__ = ["Builder", "ListenerSpec"]
