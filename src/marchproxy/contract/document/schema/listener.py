"""`listeners`: ports of the NLB."""

from pydantic import Field

from marchproxy.contract.document.schema.parts import Duration
from marchproxy.kit.settings import HostPort, Section
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BalancePolicy

_LISTENER = Listener("", "", 0)


class TlsDocument(Section):
    """`tls` of a listener: TLS that ends at the NLB."""

    certificate: str
    key: str
    client_ca: str = ""
    alpn: tuple[str, ...] = ()


class ListenerDocument(Section):
    """One of `listeners`: a port of the NLB."""

    name: str
    address: HostPort
    protocol: Protocol = _LISTENER.protocol
    module: ModuleType = _LISTENER.module_type
    balance: BalancePolicy = _LISTENER.balance
    version_weights: dict[str, int] = Field(default_factory=dict)
    idle_timeout: Duration = _LISTENER.idle_timeout
    data_plane: DataPlaneKind = _LISTENER.data_plane
    server_names: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    tls: TlsDocument | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_connections: int = _LISTENER.max_connections
    max_connections_per_source: int = _LISTENER.max_connections_per_source
    proxy_protocol: bool = _LISTENER.proxy_protocol
    trusted_proxies: tuple[str, ...] = ()
