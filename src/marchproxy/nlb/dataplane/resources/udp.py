"""UDP: a port whose datagrams go to the listener's cluster, each client's to one instance.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/listeners/udp_filters/udp_proxy
"""

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2, udp_listener_config_pb2
from envoy.extensions.filters.udp.udp_proxy.v3 import route_pb2, udp_proxy_pb2
from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from google.protobuf import wrappers_pb2
from xds.type.matcher.v3 import matcher_pb2

from marchproxy.engines.envoy.messages import duration, pack, socket_address
from marchproxy.model.listener import DEFAULT_IDLE_TIMEOUT, Listener
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.sharing import Port
from marchproxy.nlb.dataplane.resources.chains import Admission
from marchproxy.nlb.dataplane.resources.connection_log import ConnectionLog, access_logs
from marchproxy.nlb.dataplane.resources.naming import NOBODY, cluster_name, port_name
from marchproxy.nlb.dataplane.resources.selection import action, by_address

#: A session ends when it was silent for so long and the listener says nothing else. Nobody says goodbye over UDP, and
#: every session holds a socket; the kernel's own conntrack forgets a UDP stream after two minutes.
SESSION_SECONDS = 60.0
_LONGEST_SECONDS = 24 * 3600.0


def build_udp_listener(
    port: Port, admission: Admission, log: ConnectionLog | None, *, shared_port: bool
) -> listener_pb2.Listener:
    """A UDP port. `shared_port`: as with TCP."""
    listener = admission.listener
    proxy = udp_proxy_pb2.UdpProxyConfig(
        stat_prefix=listener.name,
        matcher=_routes(admission),
        idle_timeout=duration(session_seconds(listener)),
        access_log=access_logs(log, listener.name),
    )
    if listener.balance is BalancePolicy.SOURCE_HASH:
        proxy.hash_policies.append(udp_proxy_pb2.UdpProxyConfig.HashPolicy(source_ip=True))
    address = socket_address(listener.host, listener.port)
    address.socket_address.protocol = "UDP"
    return listener_pb2.Listener(
        name=port_name(port),
        stat_prefix=port_name(port),
        address=address,
        udp_listener_config=udp_listener_config_pb2.UdpListenerConfig(),
        listener_filters=[
            listener_components_pb2.ListenerFilter(
                name="envoy.filters.udp_listener.udp_proxy", typed_config=pack(proxy)
            )
        ],
        enable_reuse_port=wrappers_pb2.BoolValue(value=shared_port),
    )


def session_seconds(listener: Listener) -> float:
    """How long a session may be silent. One without any limit would never end."""
    if listener.idle_timeout == DEFAULT_IDLE_TIMEOUT:
        return SESSION_SECONDS
    return listener.idle_timeout or _LONGEST_SECONDS


def _routes(admission: Admission) -> matcher_pb2.Matcher:
    sources = admission.sources
    found = {
        # a cluster that is not there: a datagram for it makes no session, and is counted
        treatment: _to(NOBODY if chain.denied else cluster_name(admission.listener.name))
        for treatment, chain in admission.chains.items()
    }
    if not sources.networks:
        return matcher_pb2.Matcher(on_no_match=found[sources.others])
    networks = {where: found[treatment] for where, treatment in sources.networks.items()}
    return by_address(network_inputs_pb2.SourceIPInput(), networks, otherwise=found[sources.others])


def _to(cluster: str) -> matcher_pb2.Matcher.OnMatch:
    return action("route", route_pb2.Route(cluster=cluster))
