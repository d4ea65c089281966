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
    IDLE = "idle"
    LINGER = "linger"


class Outcome(Enum):
    """How a connection ended; the value is its name in metrics."""

    FINISHED = "finished"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    CLIENT_GONE = "client_gone"
    RESET = "reset"
    IDLE = "idle"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Judged:
    """The client sent bytes, and this is the verdict on all of them."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who may take the connection, in the order to try; nobody: it is refused."""

    targets: tuple[Target, ...]


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
    Judged
    | Chosen
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
    """Ask who may take the connection; Chosen is the answer."""

    detected: Detected


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection to the target; Connected or ConnectFailed follows."""

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
