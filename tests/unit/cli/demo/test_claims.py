from array import array

import pytest

from marchproxy.cli.demo.claims import Allowance, limit_holds, no_failures, rest_is_refused, split_follows
from marchproxy.cli.demo.load import LoadResult

HEADERS = {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "retry-after": "1"}


def load(
    *, seconds=2.0, statuses=None, versions=None, broken=None, refusal=None, complaints=None
) -> LoadResult:
    return LoadResult(
        seconds, statuses or {}, versions or {}, broken or {}, array("d"), refusal or {}, complaints or {}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "holds"),
    [
        (load(statuses={200: 10}), True),
        (load(statuses={200: 10, 429: 5}), True),
        (load(statuses={200: 10, 503: 1}), False),
        (load(statuses={200: 10}, broken={"reset": 1}), False),
        (load(), False),  # nothing was measured
    ],
)
def test_no_failures(seen, holds):
    assert no_failures(seen).holds is holds


def test_a_failure_is_told_with_its_reason():
    claim = no_failures(
        load(statuses={200: 9, 503: 1}, complaints={"503 no upstream": 1}, broken={"reset": 2})
    )
    assert claim.measured == "3 of 10: 1 × 503 no upstream, 2 × reset"


@pytest.mark.parametrize(("v2", "holds"), [(500, True), (650, True), (651, False), (349, False)])
def test_a_split_may_be_off_by_one_and_a_half_points(v2, holds):
    assert split_follows(load(versions={"v1": 10_000 - v2, "v2": v2}), "v2", 5).holds is holds


@pytest.mark.parametrize(
    ("passed", "holds"), [(450, True), (360, True), (359, False), (495, True), (496, False)]
)
def test_a_limit_lets_rate_and_burst_pass(passed, holds):
    assert limit_holds(load(statuses={200: passed, 429: 9}), Allowance(rate=200, burst=50)).holds is holds


@pytest.mark.parametrize(
    ("statuses", "headers", "holds"),
    [
        ({200: 1, 429: 1}, HEADERS, True),
        ({200: 1}, {}, False),
        ({429: 1}, {"retry-after": "1"}, False),
    ],
)
def test_what_is_over_the_limit_is_told_so(statuses, headers, holds):
    assert rest_is_refused(load(statuses=statuses, refusal=headers)).holds is holds
