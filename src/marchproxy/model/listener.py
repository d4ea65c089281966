"""Listeners: the ports that the NLB opens to clients."""

from dataclasses import dataclass
from enum import Enum

from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import VersionWeight


class DataPlaneKind(Enum):
    """What forwards a listener's connections; AUTO leaves it to the NLB (docs/adr/0008)."""

    AUTO = "auto"
    KERNEL = "kernel"
    ENVOY = "envoy"
    DETECT = "detect"


_OVER_UDP = frozenset({Protocol.UDP, Protocol.HTTP3})


@dataclass(frozen=True, slots=True)
class TlsTermination:
    """TLS that ends at the NLB. Paths of PEM files; with `client_ca` a client must show a certificate that it signed.

    `alpn` is what is offered, in the order of preference; empty: what the listener's protocol goes by.
    """

    certificate: str
    key: str
    client_ca: str = ""
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of the NLB and the module type behind it.

    Listeners may share an address when something that the client says tells them apart: see `marchproxy.model.sharing`.

    `version_weights` splits new connections between versions of the module, in percent; empty: every instance
    gets its share whatever its version. `idle_timeout` in seconds, 0: none.

    `server_names` (exact, or `*.example.com`) and `alpn` are matched with the client's TLS hello; empty: any.
    `allow` and `deny` are client CIDRs; `deny` goes before `allow`, and an empty `allow` allows everyone.
    `max_connections` open at once, `max_connections_per_source` from one IPv4 address or IPv6 /64; 0: no limit.
    `proxy_protocol`: every connection must begin with a PROXY protocol header, version 1 or 2, whose address is then
    the client's, in `allow` and `deny` as well; only `trusted_proxies` (CIDRs; empty: anyone) may connect.
    """

    name: str
    host: str
    port: int
    protocol: Protocol = Protocol.HTTP
    module_type: ModuleType = ModuleType.ALB
    balance: BalancePolicy = BalancePolicy.LEAST_CONNECTIONS
    version_weights: tuple[VersionWeight, ...] = ()
    idle_timeout: float = 3600.0
    data_plane: DataPlaneKind = DataPlaneKind.AUTO
    server_names: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    tls: TlsTermination | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_connections: int = 0
    max_connections_per_source: int = 0
    proxy_protocol: bool = False
    trusted_proxies: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Host and port as one text; an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def over_udp(self) -> bool:
        """Whether its clients send datagrams."""
        return self.protocol in _OVER_UDP

    @property
    def kernel_only(self) -> bool:
        """Whether nothing but the kernel may carry it."""
        return self.data_plane is DataPlaneKind.KERNEL


#: The idle timeout of a listener that gives none.
DEFAULT_IDLE_TIMEOUT = Listener("", "", 0).idle_timeout
