"""Resources: a forwarding in, Envoy's listeners, clusters, endpoints, routes and secrets out. No I/O."""

from marchproxy.nlb.dataplane.resources.build import Surroundings, build_draft
from marchproxy.nlb.dataplane.resources.connection_log import ConnectionLog
from marchproxy.nlb.dataplane.resources.naming import cluster_name
from marchproxy.nlb.dataplane.resources.retired import keep_retired

__all__ = ["ConnectionLog", "Surroundings", "build_draft", "cluster_name", "keep_retired"]
