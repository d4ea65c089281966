"""TCP: the filter chains of a listener whose connections are forwarded as they are."""

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.resources.chains import Chain
from marchproxy.nlb.dataplane.resources.connection_log import ConnectionLog, access_logs
from marchproxy.nlb.dataplane.resources.filters import limit_filters, network_filter
from marchproxy.nlb.dataplane.resources.naming import NOBODY, cluster_name
from marchproxy.nlb.dataplane.resources.tls import transport_socket

#: A connection that an instance refuses is offered to others; the pause lets the ejection of the first take effect.
CONNECT_ATTEMPTS = 3
_RETRY_PAUSE = 0.02
_HANDSHAKE_SECONDS = 10.0
_EARLY_BYTES = 16_384  # what a client may have sent when its handshake is done: a TLS record


def denied_chain(chain: Chain, log: ConnectionLog | None) -> listener_components_pb2.FilterChain:
    """Connections that are closed at once, before any of their bytes is read, and counted."""
    proxy = tcp_proxy_pb2.TcpProxy(
        stat_prefix=chain.name,
        cluster=NOBODY,
        access_log=access_logs(log, chain.listener.name, reason="denied"),
    )
    return listener_components_pb2.FilterChain(name=chain.name, filters=[network_filter("tcp_proxy", proxy)])


def tcp_chain(chain: Chain, log: ConnectionLog | None) -> listener_components_pb2.FilterChain:
    """Connections that go to the listener's cluster, decrypted where the listener ends TLS."""
    listener = chain.listener
    proxy = tcp_proxy_pb2.TcpProxy(
        stat_prefix=chain.name,
        cluster=cluster_name(listener.name),
        idle_timeout=duration(listener.idle_timeout),
        max_connect_attempts=wrappers_pb2.UInt32Value(value=CONNECT_ATTEMPTS),
        access_log=access_logs(log, listener.name),
    )
    proxy.backoff_options.base_interval.CopyFrom(duration(_RETRY_PAUSE))
    if listener.balance is BalancePolicy.SOURCE_HASH:
        proxy.hash_policy.append(hash_policy_pb2.HashPolicy(source_ip=hash_policy_pb2.HashPolicy.SourceIp()))
    if listener.tls is not None:
        # a module sees nobody who has not shown a certificate where one is asked for
        proxy.upstream_connect_mode = tcp_proxy_pb2.ON_DOWNSTREAM_TLS_HANDSHAKE
        proxy.max_early_data_bytes.value = _EARLY_BYTES
    message = listener_components_pb2.FilterChain(
        name=chain.name, filters=[*limit_filters(chain), network_filter("tcp_proxy", proxy)]
    )
    decrypt(message, chain)
    return message


def decrypt(message: listener_components_pb2.FilterChain, chain: Chain) -> None:
    """End TLS in the chain when its listener says so; a handshake that takes too long is cut off."""
    if chain.listener.tls is not None:
        message.transport_socket.CopyFrom(transport_socket(chain.listener, chain.listener.tls))
        message.transport_socket_connect_timeout.CopyFrom(duration(_HANDSHAKE_SECONDS))
