"""What an Envoy has written down of requests that a decider before this one let pass."""

import json

import pytest

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.asking import WRITTEN
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.modules.ailb.settling.written import Search

SEARCH = Search(100, {8}, 1000.0)
LINE = {
    "at": "1000",
    "cluster": "pool.a",
    "host": "[::1]:80",
    "status": 200,
    "details": "via_upstream",
    "attempts": 2,
    "sent": 700,
    "milliseconds": 1500,
    "first_byte": 250000,
    "x-request-id": "r1",
    "told": {"x-ai-id": "7", "x-ai-who": "llm&k", "x-ai-operation": "chat"},
    "used": {"usage": '{"prompt_tokens":9,\n\t"completion_tokens":2}'},
}


def line(**more):
    found = {name: value for name, value in (LINE | more).items() if value is not None}
    told = {
        name: json.dumps(found[name], separators=(",", ":")) for name in ("told", "used") if name in found
    }
    return "\t".join([str((found | told).get(name, "-")) for name in WRITTEN]).encode() + b"\n"


def test_all_that_is_known_is_in_the_report():
    found = SEARCH.find(line())
    assert (found.report, found.relayed) == (
        Report(
            7,
            Ending.COMPLETE,
            "a",
            "[::1]:80",
            200,
            Usage(9, 2),
            first_token=0.25,
            duration=1.5,
            attempts=2,
            size=700,
        ),
        False,
    )
    assert found.fields == {"x-ai-who": "llm&k", "x-ai-operation": "chat", "x-request-id": "r1"}
    assert found.is_over


@pytest.mark.parametrize(
    ("more", "ending", "status"),
    [
        ({"flags": "DC", "status": 0, "details": "downstream_remote_disconnect"}, Ending.CLIENT_GONE, 0),
        ({"flags": "UC,URX"}, Ending.BROKEN, 200),
        (
            {"status": 503, "details": "no_healthy_upstream", "cluster": None, "host": None},
            Ending.UNREACHED,
            503,
        ),
        ({"status": 502, "details": "", "refused": "401"}, Ending.REFUSED, 401),
        ({"first_byte": None, "attempts": None, "milliseconds": None, "used": None}, Ending.COMPLETE, 200),
    ],
)
def test_how_it_ended(more, ending, status):
    report = SEARCH.find(line(**more)).report
    assert (report.ending, report.status) == (ending, status)


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"\n",
        line(told=None),
        line(told={"x-ai-id": "8"}),  # settled
        line(told={"x-ai-id": "100"}),  # our own
        line(at="999"),  # nobody knows any more whether it was settled
        line(at=None),
        line(at="soon"),
        line(told={"x-ai-id": "7", "x": [[[]]]}, used=[]),
        line(status="x"),
        line(status=-1),
        line(details="a\tb"),
        line()[:-1] + b"\t-\n",
        line()[:-20],
        line(told={"x-ai-id": "7"})[:-1] + b"[" * 100_000,
    ],
)
def test_what_is_of_no_use(found):
    assert SEARCH.find(found) is None
