"""Resources: routes, pools and limits in, Envoy's clusters, endpoints, routes and listeners out. No I/O."""

from marchproxy.modules.http.resources.build import Builder, own_routes
from marchproxy.modules.http.resources.grpc import Target, build_grpc, in_reach_of_grpc
from marchproxy.modules.http.resources.listener_spec import ListenerSpec

__all__ = ["Builder", "ListenerSpec", "Target", "build_grpc", "in_reach_of_grpc", "own_routes"]
