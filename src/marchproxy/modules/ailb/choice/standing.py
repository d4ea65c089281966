"""Standing: how an endpoint is, as others are told of it. Values only."""

from dataclasses import dataclass

from marchproxy.model.module import PoolName


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts at a pool that have ended, by what they say of it: one that failed another pool may have made good."""

    served: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint now. `in_flight`: requests of ours; `there` and `waiting`: anybody's, as far as it is known. `kv_usage`: 0 to 1,
    None: its engine says nothing. `is_sound`: it is asked. `blocks` of prompts since the start, `cached` of them believed to be
    in its KV cache.
    """

    pool: PoolName
    address: str
    in_flight: int = 0
    there: float = 0.0
    waiting: float = 0.0
    kv_usage: float | None = None
    is_sound: bool = True
    blocks: int = 0
    cached: int = 0
