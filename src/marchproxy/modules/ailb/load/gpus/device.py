"""Device: what is seen of a GPU, and of who uses it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU at one moment; None: it does not say. Temperatures in °C, memory in bytes.

    `is_lost`: the driver cannot reach it. `is_slowed`: by its hardware, because of heat or power. `uncorrected`: memory errors since it
    was last reset; `cannot_remap`: a faulty row of its memory. `processes` that compute on it. `xids`: critical errors of the driver since the
    last look.
    """

    uuid: str
    index: int
    is_lost: bool = False
    temperature: float | None = None
    slows_at: float | None = None
    is_slowed: bool = False
    uncorrected: int = 0
    cannot_remap: bool = False
    memory_used: int | None = None
    memory_total: int | None = None
    processes: frozenset[int] = frozenset()
    xids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens for TCP at `host` (an IP address) and `port`. `started`: Unix seconds."""

    host: str
    port: int
    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class Look:
    """All of it at one moment, `at` in Unix seconds.

    `serving`: who listens on behalf of a process that computes: it itself, or one that it descends from. `gone`: listeners of earlier
    looks that have ended. `own`: this host's IP addresses.
    """

    at: float
    devices: tuple[Device, ...] = ()
    serving: Mapping[int, tuple[Listener, ...]] = field(default_factory=dict)
    gone: frozenset[Listener] = frozenset()
    own: frozenset[str] = frozenset()
