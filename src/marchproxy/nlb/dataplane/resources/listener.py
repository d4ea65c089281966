"""Listener: a port, what is read before a connection's filter chain is chosen, and the chains.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/listener/v3/listener.proto
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.messages import duration, pack, socket_address
from marchproxy.model.module import Protocol
from marchproxy.model.sharing import Port, Sharing, names_hello
from marchproxy.nlb.dataplane.resources.chains import Admission, Chain
from marchproxy.nlb.dataplane.resources.http import http_chain
from marchproxy.nlb.dataplane.resources.naming import port_name
from marchproxy.nlb.dataplane.resources.observing import Observing
from marchproxy.nlb.dataplane.resources.selection import chain_matcher
from marchproxy.nlb.dataplane.resources.tcp import denied_chain, tcp_chain

#: How long a client may take to show its PROXY protocol header and its TLS hello; then it is closed.
HELLO_SECONDS = 5.0
#: After so long without a whole hello a client is taken for one that waits for the server to speak first.
SILENCE_SECONDS = 1.0


def build_listener(
    port: Port, admissions: Sequence[Admission], observing: Observing, *, shared_port: bool
) -> listener_pb2.Listener:
    """A TCP port with one filter chain for each kind of client. `shared_port`: every worker has a socket of its own.

    With one worker the port is not shared, so that no other process can slip onto it.
    """
    name = port_name(port)
    chains = {
        chain.name: _build_chain(port, chain, observing)
        for each in admissions
        for chain in each.chains.values()
    }
    for chain in chains.values():
        chain.name = _name_by_content(chain)
    listener = listener_pb2.Listener(
        name=name,
        stat_prefix=name,
        address=socket_address(port.first.host, port.first.port),
        filter_chains=list(chains.values()),
        filter_chain_matcher=chain_matcher(
            admissions, port.first.trusted_proxies, {key: chain.name for key, chain in chains.items()}
        ),
        listener_filters=list(_listener_filters(port)),
        enable_reuse_port=wrappers_pb2.BoolValue(value=shared_port),
    )
    if listener.listener_filters:
        patient = _may_stay_silent(port)
        listener.listener_filters_timeout.CopyFrom(duration(SILENCE_SECONDS if patient else HELLO_SECONDS))
        listener.continue_on_listener_filters_timeout = patient
    return listener


def _name_by_content(chain: listener_components_pb2.FilterChain) -> str:
    """A name that is another one when anything else in the chain is: so the old chain can stay beside it (`retired`)."""
    content = chain.SerializeToString(deterministic=True)
    return f"{chain.name}@{blake2b(content, digest_size=4).hexdigest()}"


def _build_chain(port: Port, chain: Chain, observing: Observing) -> listener_components_pb2.FilterChain:
    if chain.denied:
        return denied_chain(chain, observing.log)
    if port.sharing is Sharing.REQUEST:
        return http_chain(port, chain, observing)
    return tcp_chain(chain, observing.log)


def _listener_filters(port: Port) -> Iterator[listener_components_pb2.ListenerFilter]:
    if port.first.proxy_protocol:
        yield _listener_filter(
            "proxy_protocol", proxy_protocol_pb2.ProxyProtocol(stat_prefix=port_name(port))
        )
    if any(map(names_hello, port.listeners)):
        yield _listener_filter("tls_inspector", tls_inspector_pb2.TlsInspector())


def _may_stay_silent(port: Port) -> bool:
    """Whether a client that says no hello has a listener to go to: one that takes whatever comes, by its protocol.

    Not with PROXY protocol: Envoy would go on without the header as well, and take the proxy for the client.
    """
    return not port.first.proxy_protocol and any(
        listener.protocol is Protocol.TCP and listener.tls is None and not names_hello(listener)
        for listener in port.listeners
    )


def _listener_filter(name: str, config: Message) -> listener_components_pb2.ListenerFilter:
    return listener_components_pb2.ListenerFilter(
        name=f"envoy.filters.listener.{name}", typed_config=pack(config)
    )
