"""Claims: what the demo says it shows, and whether the measurements bear it out. Pure."""

from dataclasses import dataclass

from marchproxy.cli.demo.load import LoadResult

#: How far an observed share may be from its weight, in percentage points. Choosing by weight is random: with 20,000
#: requests an even split strays this far once in 40,000 runs.
TOLERANCE = 1.5


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, and what was measured."""

    text: str
    holds: bool
    measured: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """A rate limit: requests per second, and how many may come at once."""

    rate: int
    burst: int

    def bounds(self, seconds: float) -> tuple[float, float]:
        """The fewest and most requests that may pass in so many seconds of more demand than that.

        The bucket is full at first. Time is measured from outside: a tenth of tolerance on either side.
        """
        return 0.9 * self.rate * seconds, 1.1 * (self.rate * seconds + self.burst)


def no_failures(load: LoadResult) -> Claim:
    """Every request was answered, with 2xx or (under a limit) 429."""
    if not load.failed:
        return Claim("no request failed", holds=load.answered > 0, measured=f"0 of {load.answered:,}")
    reasons = ", ".join(f"{n} × {reason}" for reason, n in {**load.complaints, **load.broken}.items())
    return Claim("no request failed", holds=False, measured=f"{load.failed} of {load.answered:,}: {reasons}")


def split_follows(load: LoadResult, version: str, percent: int) -> Claim:
    """The version got the share that it was given."""
    observed = load.percent(version)
    holds = abs(observed - percent) <= TOLERANCE
    text = f"{version} gets {percent} % (± {TOLERANCE} points)"
    return Claim(text, holds=holds, measured=f"{observed:.2f} %")


def limit_holds(load: LoadResult, allowance: Allowance) -> Claim:
    """As many requests passed as the limit allows."""
    fewest, most = allowance.bounds(load.seconds)
    passed = load.statuses.get(200, 0)
    text = f"{allowance.rate} requests/s pass, {allowance.burst} at once"
    return Claim(text, holds=fewest <= passed <= most, measured=f"{passed / load.seconds:,.0f}/s passed")


def rest_is_refused(load: LoadResult) -> Claim:
    """What was over the limit got 429 with the headers that tell a client when to come back."""
    refused = load.statuses.get(429, 0)
    told = {name for name in load.last_refusal if name.startswith("x-ratelimit") or name == "retry-after"}
    holds = refused > 0 and {"x-ratelimit-limit", "x-ratelimit-remaining", "retry-after"} <= told
    return Claim(
        "the others get 429, and are told when to come back",
        holds=holds,
        measured=f"{refused:,} × 429, headers {', '.join(sorted(told)) or 'none'}",
    )
