"""Proportions: how likely it is that one sample fails more often than another, or than it may, by chance alone.

One-sided tests. Exact (Fisher's, the binomial) where counts are small, as they are for a canary; beyond that the pooled
z-test with continuity correction, which is the same to three digits there and costs nothing.
"""

import math

#: Up to so many failures in both samples together, and up to such a variance, the exact tests are used.
_EXACT_FAILURES = 500
_EXACT_VARIANCE = 400.0


def chance_of_difference(failures: int, trials: int, other_failures: int, other_trials: int) -> float:
    """The probability of at least `failures` of `trials` if both samples fail at one rate, given all that failed.

    1.0 when either sample is empty: there is nothing to compare.

    >>> round(chance_of_difference(6, 200, 0, 200), 4)
    0.0151
    """
    if not trials or not other_trials or not failures:
        return 1.0
    if failures + other_failures <= _EXACT_FAILURES:
        return _fisher(failures, trials, failures + other_failures, trials + other_trials)
    rate = (failures + other_failures) / (trials + other_trials)
    deviation = math.sqrt(rate * (1 - rate) * (1 / trials + 1 / other_trials))
    correction = (1 / trials + 1 / other_trials) / 2
    return _normal_tail(failures / trials - other_failures / other_trials - correction, deviation)


def chance_of_failures(failures: int, trials: int, rate: float) -> float:
    """The probability of at least `failures` of `trials` that each fail with probability `rate`.

    >>> round(chance_of_failures(3, 20, 0.05), 4)
    0.0755
    """
    if not failures or rate >= 1:
        return 1.0
    if rate <= 0:
        return 0.0
    variance = trials * rate * (1 - rate)
    if variance > _EXACT_VARIANCE:
        return _normal_tail(failures - 0.5 - trials * rate, math.sqrt(variance))
    odds = math.log(rate), math.log1p(-rate)
    fewer = (math.exp(_log_choose(trials, k) + k * odds[0] + (trials - k) * odds[1]) for k in range(failures))
    return max(0.0, 1.0 - math.fsum(fewer))


def _fisher(failures: int, trials: int, all_failures: int, all_trials: int) -> float:
    """The tail of the hypergeometric distribution."""
    whole = _log_choose(all_trials, all_failures)
    others = all_trials - trials
    most = min(all_failures, trials)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(trials, k) + _log_choose(others, all_failures - k) - whole)
            for k in range(failures, most + 1)
            if all_failures - k <= others
        ),
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _normal_tail(excess: float, deviation: float) -> float:
    if not deviation:
        return 1.0
    return math.erfc(excess / deviation / math.sqrt(2)) / 2
