"""A client that shares a link: what goes over it at once, what is asked about first, and what is counted."""

from types import SimpleNamespace

import pytest

from marchproxy.modules.dblb.gate import OPEN, Refusal, RefusalKind
from marchproxy.modules.dblb.redis.local import Identity
from marchproxy.modules.dblb.redis.reception import Visit
from marchproxy.modules.dblb.redis.session import Session
from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.redis.values import encode

GET, LONG = encode([b"GET", b"k"]), encode([b"SET", b"k", b"v" * 300])


class Transport:
    def __init__(self) -> None:
        self.sent = b""
        self.closed = self.paused = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Link:
    lost = stale = replica = congested = False

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, int]] = []

    def send(self, _asker: object, data: bytes, replies: int) -> None:
        self.sent.append((data, replies))


class Reception:
    def __init__(self, link: Link) -> None:
        self._pool = SimpleNamespace(share=lambda _session: link)

    def now(self) -> float:
        return 1.0

    def arrived(self, session: Session) -> None:
        """It is put on its route by the test."""

    def pool(self, _session: Session, *, replica: bool) -> object:
        return self._pool

    def wait(self, session: Session) -> None:
        """Nobody wakes it."""


class Forbidding:
    looks = True

    def refuses(self, statement: bytes) -> Refusal | None:
        return Refusal("no", RefusalKind.BLOCKED) if statement == b"GET k" else None


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def session(link) -> Session:
    session = Session(Reception(link), Identity("a"), longest=16384, unsent=1 << 20)
    session.visit = Visit(None, None, OPEN, Tally(), splits=False, only_reads=False, own=False)
    session.connection_made(Transport())
    session.data_received(GET)
    session.answered(b"$-1\r\n", 1)
    link.sent.clear()
    session.transport.sent = b""
    return session


@pytest.mark.parametrize(
    ("reads", "sent"),
    [
        ([GET * 3], [(GET * 3, 3)]),
        ([GET + LONG], [(GET + LONG, 2)]),
        ([GET, GET * 2], [(GET, 1), (GET * 2, 2)]),
        ([GET + GET[:9], GET[9:] + GET], [(GET, 1), (GET * 2, 2)]),
        ([GET[:9], GET[9:]], [(GET, 1)]),
        ([LONG[:50], LONG[50:] + GET], [(LONG + GET, 2)]),
    ],
)
def test_plain_commands_go_on_as_they_are_and_are_counted(session, link, reads, sent):
    before = session.visit.tally.queries
    for data in reads:
        session.data_received(data)
    assert link.sent == sent
    assert session.visit.tally.queries - before == sum(count for _, count in sent)
    assert session.busy
    session.answered(b"", sum(count for _, count in sent))
    assert session.idle


def test_whoever_is_paused_is_read_from_no_more_and_nothing_is_sent(session, link):
    session.held = True
    session.data_received(GET)
    assert not link.sent
    assert session.transport.paused
    session.held = False
    session.got(None)
    assert link.sent == [(GET, 1)]
    assert not session.transport.paused


def test_a_limit_that_comes_later_is_asked_from_the_next_command_on(session, link):
    session.data_received(GET)
    session.answered(b"$-1\r\n", 1)
    session.visit.permit = Forbidding()
    session.data_received(GET)
    assert link.sent == [(GET, 1)]
    assert session.transport.sent.endswith(b"-NOPERM no\r\n")


def test_another_link_is_asked_for_when_the_one_that_is_shared_takes_nothing_new(session, link):
    session._shared = old = Link()
    old.stale = True
    session.data_received(GET)
    assert not old.sent
    assert link.sent == [(GET, 1)]
