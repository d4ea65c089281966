"""The files of ways to authenticate."""

import pytest

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.state import DesiredState
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import RtmpPlan, compile_plan, files_of

KEYS = Authentication("keys", AuthenticationKind.STREAM_KEYS, "/k")
SIGNED = Authentication("signed", AuthenticationKind.SIGNED, "/s")
SERVICE = Authentication("service", AuthenticationKind.CALLBACK, url="http://a.example/")
OTHER = Authentication("other", AuthenticationKind.SIGNED, "/other")
STATE = DesiredState(
    routes=(
        Route(
            RouteId("r"),
            protocol=Protocol.RTMP,
            rtmp=RtmpRoute(publish=("keys", "service"), play=("signed",)),
        ),
    ),
    authentication=(KEYS, SIGNED, SERVICE, OTHER),
)
GOOD: dict[str, bytes | str] = {"/k": b"live/*:s3cret\n", "/s": b"0123456789\n"}


def test_what_the_files_of_own_ways_say() -> None:
    assert files_of(STATE) == {"/k", "/s"}
    plan, problems = compile_plan(STATE, GOOD)
    assert problems == ()
    (route,) = plan.routes
    by_key, by_service = route.publish
    assert by_key.keys.open(StreamKey("", "live", "a"), "s3cret")
    assert (by_service.name, route.play[0].secret) == ("service", b"0123456789")


@pytest.mark.parametrize(
    ("path", "content", "where", "words"),
    [
        ("/k", b"live/a", "authentication[0].file", "/k: line 1 is no PATTERN:KEY"),
        ("/k", "cannot be read: Permission denied", "authentication[0].file", "/k: cannot be read: Permission denied"),
        ("/s", b"\n", "authentication[1].file", "/s: a secret has at least 8 bytes"),
        ("/s", "is larger than 4 bytes", "authentication[1].file", "/s: is larger than 4 bytes"),
    ],
)  # fmt: skip
def test_by_a_file_of_no_use_nobody_is_let_in(
    path: str, content: bytes | str, where: str, words: str
) -> None:
    plan, problems = compile_plan(STATE, {**GOOD, path: content})
    assert [(problem.path, problem.message[: len(words)]) for problem in problems] == [(where, words)]
    assert _opens(plan) == {"/k": [False, True], "/s": [True, False]}[path]


def test_a_file_that_was_not_read_opens_nothing() -> None:
    plan, problems = compile_plan(STATE, {})
    assert [problem.message for problem in problems] == ["/k: was not read", "/s: was not read"]
    assert _opens(plan) == [False, False]


def _opens(plan: RtmpPlan) -> list[bool]:
    """Whether anybody can show anything by the file of keys, and by that of the secret."""
    (route,) = plan.routes
    return [route.publish[0].keys.open(StreamKey("", "live", "a"), "s3cret"), bool(route.play[0].secret)]
