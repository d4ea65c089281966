"""Serving: how processes that share ports let clients in."""

from dataclasses import dataclass

from marchproxy.modules.reception.port import Port


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """PEM files that TLS with clients takes; `authorities` empty: clients are not asked for a certificate."""

    certificate: str
    key: str
    authorities: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Serving:
    """How workers let clients in. `sources`: the networks of who may send PROXY headers."""

    ports: tuple[Port, ...] = ()
    sources: tuple[str, ...] = ()
    tls: TlsMaterial | None = None
    drain_seconds: float = 30.0
