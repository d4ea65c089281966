"""Client: who has come, to which port, and how TLS with it goes."""

import ssl
from dataclasses import dataclass

from marchproxy.kit.settings import HostPort


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS with clients. `required`: who does not ask for it is turned away; otherwise it is offered."""

    context: ssl.SSLContext
    required: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection that was accepted: who it is from, and to which port it went, as a PROXY header says where there is one."""

    client: HostPort
    port: int
    tls: ClientTls | None = None
    """For protocols that begin TLS by themselves; others get connections on which it has begun."""
    certificate_user: str = ""
    """Whom the client's certificate is for, where TLS has begun."""
    secure: bool = False
    """Whether TLS has begun, with the first byte."""
