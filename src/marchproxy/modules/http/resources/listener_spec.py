"""What a listener of the ALB is like, as a plain value."""

from dataclasses import dataclass

from marchproxy.modules.http.downstream import Underscores
from marchproxy.modules.http.resources.downstream_tls import DownstreamTls
from marchproxy.modules.http.resources.observing import NOTHING_OBSERVED, Observing


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """A listener of the ALB. With `proxy_sources` (CIDRs) it requires PROXY protocol v2, from those addresses only.

    With `tls` it speaks nothing else, and with `quic` it listens on the UDP port and speaks HTTP/3.

    `tls_ended_ports`: a connection that a PROXY protocol header says was made to one of these had TLS that ended at the
    sender of the header. It counts as secure. `secure_headers` are set on answers to what is secure, where the
    backend set none. `redirect_port`: what is not secure is sent to https at this port; 0: it is served.
    """

    name: str
    host: str
    port: int
    proxy_sources: tuple[str, ...] = ()
    tls: DownstreamTls | None = None
    quic: bool = False
    tls_ended_ports: tuple[int, ...] = ()
    secure_headers: tuple[tuple[str, str], ...] = ()
    redirect_port: int = 0
    underscores: Underscores = Underscores.REJECT
    observing: Observing = NOTHING_OBSERVED
