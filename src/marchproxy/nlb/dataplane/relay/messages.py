"""Messages: what can happen to a relayed connection (events) and what is to be done about it (commands)."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from marchproxy.model.plan import Target
from marchproxy.wire.detect import Detected, Verdict


class Timer(Enum):
    """What a connection may be waiting for, up to a limit."""

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call per timer

    SILENCE = "silence"
    DETECTION = "detection"
    CONNECT = "connect"
    IDLE = "idle"
    LINGER = "linger"


class Outcome(Enum):
    """How a connection ended; the value is its name in metrics."""

    FINISHED = "finished"
    UNKNOWN = "unknown"
    """Its first bytes are no protocol of the port, or not whole."""
    MALFORMED = "malformed"
    """No PROXY protocol header where there must be one."""
    TIMEOUT = "timeout"
    DENIED = "denied"
    """By a rule about addresses or a limit."""
    REFUSED = "refused"
    """No instance took it."""
    CLIENT_GONE = "client_gone"
    RESET = "reset"
    IDLE = "idle"
    SHED = "shed"
    """Closed so that another instance gets the next one."""
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Introduced:
    """The PROXY protocol header is there, whole."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The client sent bytes, and this is the verdict on all of them."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who may take the connection; nobody: it is refused."""

    target: Target | None


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The connection must end, for this reason."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Connected:
    """The target that was tried has accepted."""


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """The target that was tried refused, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class ClientFinished:
    """The client sends no more; it may still read."""


@dataclass(frozen=True, slots=True)
class TargetFinished:
    """The target sends no more; it may still read."""


@dataclass(frozen=True, slots=True)
class ClientLost:
    """The client's connection is gone without our doing."""


@dataclass(frozen=True, slots=True)
class TargetLost:
    """The target's connection is gone without our doing."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A timer that was started has run out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Dropped:
    """The listener waits no longer for its connections to end."""


Event: TypeAlias = (
    Introduced
    | Judged
    | Chosen
    | TurnedAway
    | Connected
    | ConnectFailed
    | ClientFinished
    | TargetFinished
    | ClientLost
    | TargetLost
    | TimedOut
    | Dropped
)


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Let time run until TimedOut; for IDLE, time without a byte."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Forget this timer; it need not be running."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Choose:
    """Ask who may take the connection, the first time or once more; Chosen or TurnedAway is the answer.

    `detected` None: nothing that the port tells apart, or nothing was asked.
    """

    detected: Detected | None


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection to the target; Connected or ConnectFailed follows within the time that there is for it."""

    target: Target


@dataclass(frozen=True, slots=True)
class Join:
    """Send the target what the client has sent so far, behind a PROXY header if it wants one; relay from now on."""

    target: Target


@dataclass(frozen=True, slots=True)
class FinishClient:
    """Tell the client that no more comes, once all is written."""


@dataclass(frozen=True, slots=True)
class FinishTarget:
    """Tell the target that no more comes, once all is written."""


@dataclass(frozen=True, slots=True)
class Close:
    """End both sides and stop all timers. `flush`: write what waits first; otherwise it is thrown away."""

    outcome: Outcome
    flush: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """Throw away what still waits to be written after a Close."""


Command: TypeAlias = (
    StartTimer | StopTimer | Choose | Connect | Join | FinishClient | FinishTarget | Close | Abort
)
