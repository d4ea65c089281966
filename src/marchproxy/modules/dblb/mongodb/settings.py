"""Settings: where the servers are, who clients are, and how long and how large things may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.scram import Verifier
from marchproxy.wire.mongodb.command import Command
from marchproxy.wire.mongodb.framing import LARGEST


@dataclass(frozen=True, slots=True)
class MongoLimits:
    """Times in seconds. `size`: connections to a server for each user; `orphan`: how long a cursor outlives the connection that used it last."""

    size: int = 20
    wait: float = 10.0
    dial: float = 5.0
    idle: float = 600.0
    login: float = 15.0
    probe: float = 2.0
    cursor: float = 600.0
    orphan: float = 30.0
    cursors: int = 100_000
    transactions: int = 100_000
    longest: int = LARGEST


@dataclass(frozen=True, slots=True)
class MongoSettings:
    """`routes`: the servers of a replica set by database, "" for every other; `users` empty: nobody is asked who it is.

    `passwords`: of users, towards servers; who has none there is not logged in to them.
    """

    routes: Mapping[str, tuple[HostPort, ...]]
    users: Mapping[str, Verifier] = field(default_factory=dict, repr=False)
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    compressors: tuple[str, ...] = ("zlib",)
    limits: MongoLimits = MongoLimits()


class Gate(Protocol):
    """Where limits and rules are asked."""

    def refuse(self, user: str, command: Command) -> str | None:
        """Why a command is not carried out; None when it is."""
        ...


class OpenGate:
    """Lets everything pass."""

    def refuse(self, user: str, command: Command) -> str | None:  # noqa: ARG002
        """Never a reason."""
        return None
