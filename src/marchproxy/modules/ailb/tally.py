"""Tally: what became of requests, by model, pool and key; cheap enough to be kept for every request, bounded in number."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from marchproxy.model.usage import Usage

#: Upper bounds of the buckets of times, in seconds, as OpenTelemetry advises for them
#: (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/): until the first token, between tokens, all of it.
FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Tokens of one request.
USED = tuple(float(4**power) for power in range(14))
#: Stands for all names beyond the number that is kept.
OTHERS = "*"


class Times:
    """A histogram, mostly of seconds."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class TallyKey(NamedTuple):
    """What a tally is for; a refused request has no pool, and one that nobody is known to have sent no key. A tuple, because it is
    hashed for every request."""

    route: str
    operation: str
    model: str
    pool: str
    key: str


class Tally:
    """The counts of one kind of requests; they only grow. Money in micro-units."""

    __slots__ = (
        "cache", "cached_tokens", "cost", "credential", "duration", "endings", "findings", "first_token", "input_tokens", "input_usage",
        "output_tokens", "output_usage", "per_token", "queue_time", "refusals", "uncounted", "unpriced_tokens",
    )  # fmt: skip

    def __init__(self) -> None:
        self.endings: Counter[str] = Counter()
        """By how they ended."""
        self.refusals: Counter[str] = Counter()
        """By reason."""
        self.cache: Counter[str] = Counter()
        """Hits and misses."""
        self.credential: Counter[str] = Counter()
        """By status: attempts at which the provider refused ours."""
        self.findings: Counter[str] = Counter()
        """By guardrail: requests in which it found something."""
        self.input_tokens = 0
        self.output_tokens = 0
        self.cached_tokens = 0
        self.cost = 0
        self.uncounted = 0
        """Requests that were settled at a guess, or at their reservation."""
        self.unpriced_tokens = 0
        """Of models that have no price: budgets do not count them."""
        self.duration = Times(DURATION)
        self.first_token = Times(FIRST_TOKEN)
        self.per_token = Times(PER_TOKEN)
        self.queue_time = Times(WAIT)
        """Only of those who had to wait."""
        self.input_usage = Times(USED)
        self.output_usage = Times(USED)
        """Tokens of those whose tokens were counted."""

    def use(self, usage: Usage, cost: int) -> None:
        """Add what a request used."""
        self.input_tokens += usage.input
        self.output_tokens += usage.output
        self.cached_tokens += usage.cached
        self.cost += cost

    def note_counted(self, usage: Usage) -> None:
        """Somebody has counted what a request used: how large it was."""
        self.input_usage.add(usage.input)
        self.output_usage.add(usage.output)


@dataclass(slots=True)
class Tallies:
    """All tallies of a decider. Beyond `most`, those of one route, operation and pool are counted together."""

    most: int = 1000
    kept: dict[TallyKey, Tally] = field(default_factory=dict)

    def of(self, key: TallyKey) -> Tally:
        """The tally of a kind of requests, which is kept for good."""
        found = self.kept.get(key)
        if found is None:
            if len(self.kept) >= self.most:
                key = TallyKey(key.route, key.operation, OTHERS, key.pool, OTHERS)
            found = self.kept.setdefault(key, Tally())
        return found
