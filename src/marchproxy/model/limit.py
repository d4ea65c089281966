"""Rate limits: how many requests a target may take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

LimitId = NewType("LimitId", str)

#: The target of a limit that holds for everything a module serves.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit on `target`: a route id, or `*`. Each rate is requests per that time, 0: none; all given ones hold.

    `burst` is the size of the per-second bucket (0: as large as the rate).
    """

    limit_id: LimitId
    target: str
    per_second: int = 0
    per_minute: int = 0
    per_hour: int = 0
    burst: int = 0
    enabled: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
