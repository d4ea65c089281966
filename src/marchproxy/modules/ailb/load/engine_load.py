"""What an engine says of itself, and who is told. Values only."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """`waiting` and `running`: requests. `kv_usage`: 0 to 1, how full its KV cache is; `kv_tokens`: how much that holds, 0: it
    does not say."""

    waiting: float = 0.0
    running: float = 0.0
    kv_usage: float = 0.0
    kv_tokens: int = 0


class Listener(Protocol):
    """Who is told of one engine."""

    def asked(self) -> None:
        """The engine is being asked now: what is sent to it from here on may not be in its answer."""
        ...

    def heard(self, load: EngineLoad, now: float) -> None:
        """What it answered. `now`: monotonic seconds."""
        ...

    def silent(self) -> None:
        """It has not answered, or not in words that are known."""
        ...
