"""Judging: is a canary worse than the versions it runs beside? Pure.

A difference counts when it is both larger than what is allowed and no accident. `RISK` is the chance that a canary as
good as its baseline is rolled back in the course of one rollout; each step may use its part of it (Bonferroni), and of
that each of two questions a half, and each of its looks no more than a half again. A difference that is too large but may
be an accident promotes nothing: the evidence of another interval is added. What may be the asker's own fault counts
by comparison alone, as long as there is somebody to compare with.
"""

from dataclasses import dataclass, replace

from marchproxy.model.proportions import chance_of_difference, chance_of_failures

RISK = 0.01
_QUESTIONS_AND_LOOKS = 4
#: A difference less likely than this is no ground to roll back, but one to look longer.
_DOUBT = 0.1
#: Before a window is over only this is acted on: most requests fail, by no accident. Few make a sample, because an
#: instance that refuses connections is tried less and less often.
_GROSS_PERCENT = 50.0
_GROSS_CHANCE = 0.0001
_GROSS_REQUESTS = 5
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """What a canary must keep to. `interval` in seconds, latency in milliseconds, rates in percent of requests.

    Its shares are `steps` (percent, ascending), or rise by `step_percent`. `max_error_increase_percent` and
    `max_p99_factor` are compared with the baseline over the same window; a limit of 0 is not checked. A window with
    fewer than `min_requests` canary requests, or none, proves nothing: the rollout holds.
    """

    step_percent: int = 10
    interval: float = 60.0
    min_requests: int = 20
    max_error_percent: float = 5.0
    max_error_increase_percent: float = 1.0
    max_p99_latency_ms: float = 0.0
    max_p99_factor: float = 0.0
    steps: tuple[int, ...] = ()

    def after(self, percent: int) -> int:
        """The share of the step that follows this share."""
        if self.steps:
            return next((step for step in self.steps if step > percent), 100)
        return min(100, percent + max(1, self.step_percent))

    @property
    def count(self) -> int:
        """How many steps there are at most."""
        return len({*self.steps, 100}) if self.steps else -(-100 // max(1, self.step_percent))

    @property
    def in_words(self) -> str:
        """What happens from now on, for people."""
        way = f"{self.step_percent} % more"
        if self.steps:
            way = "then " + ", ".join(f"{share} %" for share in sorted({*self.steps, 100}))
        return f"{way} every {self.interval:g} s as long as it keeps to its limits"

    @property
    def enough(self) -> int:
        """The requests that make a window."""
        return max(1, self.min_requests)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one version did in one window."""

    requests: int = 0
    failures: int = 0
    p99_latency_ms: float = 0.0
    rejected: int = 0
    """Of the failures, those that may be the asker's own fault: a server that works has said no."""

    @property
    def error_percent(self) -> float:
        """Failures per hundred requests; 0 without requests."""
        return 100.0 * self.failures / self.requests if self.requests else 0.0

    @property
    def unprovoked(self) -> "Sample":
        """The same without the failures that may be the asker's own fault."""
        return replace(self, failures=self.failures - self.rejected, rejected=0)

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(
            self.requests + other.requests,
            self.failures + other.failures,
            max(self.p99_latency_ms, other.p99_latency_ms),
            self.rejected + other.rejected,
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong, with the numbers: `fault` is a ground to roll back, `doubt` one to look longer.

    `p_value` is the chance of so many more failures than the baseline's if both are equally good.
    """

    fault: str = ""
    doubt: str = ""
    p_value: float = 1.0


def judge(canary: Sample, baseline: Sample, limits: RolloutLimits) -> Judgement:
    """Compare a whole window with every limit; the first that is broken is told."""
    p_value = chance_of_difference(canary.failures, canary.requests, baseline.failures, baseline.requests)
    findings = (*_errors(canary, baseline, limits, p_value), *_latency(canary, baseline, limits))
    fault = next((text for text, certain in findings if certain), "")
    doubt = next((text for text, certain in findings if not certain), "")
    return Judgement(fault, doubt, p_value)


def judge_early(canary: Sample, baseline: Sample, limits: RolloutLimits) -> Judgement:
    """Look for gross failure alone, in a window that is not over."""
    p_value = chance_of_difference(canary.failures, canary.requests, baseline.failures, baseline.requests)
    chance = p_value
    if not baseline.requests and limits.max_error_percent:
        chance = chance_of_failures(canary.failures, canary.requests, limits.max_error_percent / 100)
    needed = max(_FEWEST, min(_GROSS_REQUESTS, limits.min_requests))
    gross = canary.requests >= needed and canary.error_percent > _GROSS_PERCENT and chance <= _GROSS_CHANCE
    fault = f"{canary.failures} of the first {canary.requests} requests failed" if gross else ""
    return Judgement(fault, p_value=p_value)


def _errors(
    canary: Sample, baseline: Sample, limits: RolloutLimits, p_value: float
) -> list[tuple[str, bool]]:
    findings = []
    risk = RISK / limits.count / _QUESTIONS_AND_LOOKS
    charged = canary.unprovoked if baseline.requests else canary
    if limits.max_error_percent and charged.error_percent > limits.max_error_percent:
        chance = chance_of_failures(charged.failures, charged.requests, limits.max_error_percent / 100)
        found = f"{charged.error_percent:.2f} % errors, the limit is {limits.max_error_percent:.2f} %"
        findings.append((found, chance <= risk))
    increase = canary.error_percent - baseline.error_percent
    allowed = limits.max_error_increase_percent
    if allowed and baseline.requests and increase > allowed and p_value <= _DOUBT:
        text = (
            f"{canary.error_percent:.2f} % errors against {baseline.error_percent:.2f} % of the baseline (p = {p_value:.2g}), "
            f"the limit is {allowed:.2f} points more"
        )
        findings.append((text, p_value <= risk))
    return findings


def _latency(canary: Sample, baseline: Sample, limits: RolloutLimits) -> list[tuple[str, bool]]:
    findings = []
    p99 = canary.p99_latency_ms
    if limits.max_p99_latency_ms and p99 > limits.max_p99_latency_ms:
        findings.append((f"p99 is {p99:.1f} ms, the limit is {limits.max_p99_latency_ms:.1f} ms", True))
    usual = baseline.p99_latency_ms
    if limits.max_p99_factor and usual and p99 > usual * limits.max_p99_factor:
        text = (
            f"p99 is {p99:.1f} ms against {usual:.1f} ms of the baseline, "
            f"the limit is {limits.max_p99_factor:g} times as much"
        )
        findings.append((text, True))
    return findings
