"""Runtime: what Envoy looks up while it runs, delivered like any resource: how many connections a port may have.

Envoy counts a listener's connections over all its workers and filter chains, from accept to close, and a change of the
limit touches none of them. https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/listeners/runtime
"""

from collections.abc import Iterable

from envoy.service.runtime.v3 import rtds_pb2

from marchproxy.model.sharing import Port
from marchproxy.nlb.dataplane.resources.naming import port_name

#: The layer's name, in the bootstrap as well.
RUNTIME = "marchproxy"


def build_runtime(ports: Iterable[Port]) -> rtds_pb2.Runtime:
    """The layer; it is there even when it says nothing, because Envoy waits for it."""
    runtime = rtds_pb2.Runtime(name=RUNTIME)
    runtime.layer.SetInParent()
    for port in ports:
        if port.first.max_connections and not port.first.over_udp:
            key = f"envoy.resource_limits.listener.{port_name(port)}.connection_limit"
            runtime.layer[key] = port.first.max_connections
    return runtime
