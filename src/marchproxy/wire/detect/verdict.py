"""Verdict: what the first bytes of a connection tell."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Protocol(Enum):
    """The protocols that can be told apart; the value is the name used in documents and metrics."""

    TLS = "tls"
    HTTP1 = "http1"
    HTTP2 = "http2"
    POSTGRES = "postgres"
    MYSQL = "mysql"
    REDIS = "redis"
    MONGODB = "mongodb"
    RTMP = "rtmp"
    SSH = "ssh"


ALL = frozenset(Protocol)


@dataclass(frozen=True, slots=True)
class Detected:
    """It is this protocol. `form` names the kind of first message where a protocol has several.

    `sni` (lower case) and `alpn` (the client's order; opaque bytes by RFC 7301) are those of a TLS ClientHello.
    """

    protocol: Protocol
    form: str = ""
    sni: str = ""
    alpn: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class NeedMore:
    """Too early to tell. `most` further bytes, whatever they are, settle it; fewer may."""

    most: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """None of the enabled protocols, whatever follows."""


Verdict: TypeAlias = Detected | NeedMore | Unknown


class Look(Enum):
    """What one recogniser says when it does not say `Detected`. NO is final; MORE is not."""

    NO = "no"
    MORE = "more"
