"""Pool limits: how many links of a pool there may be, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many links there may be, and how long each thing may take, in seconds; `lifetime` and `idle` 0: for ever.

    `reset`: SQL that clears away what a session left behind; empty: such links are closed.
    """

    size: int = 20
    wait: float = 10.0
    idle: float = 600.0
    lifetime: float = 3600.0
    dial: float = 5.0
    reset: str = "DISCARD ALL"
