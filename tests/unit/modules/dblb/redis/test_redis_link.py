"""A shared link: each asker hears its own replies, and no others, whatever they are and however they come."""

import pytest

from marchproxy.modules.dblb.redis.link import Link

OK, LONG, ERROR = b"+OK\r\n", b"$200\r\n" + b"x" * 200 + b"\r\n", b"-ERR x\r\n"


class Transport:
    def __init__(self) -> None:
        self.closed = self.aborted = False

    def write(self, data: bytes) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True


class Owner:
    def __init__(self) -> None:
        self.doubts: list[bytes] = []

    def doubted(self, _link: Link, words: bytes) -> None:
        self.doubts.append(words)


class Asker:
    def __init__(self) -> None:
        self.heard = b""
        self.replies = self.errors = 0

    def answered(self, data: bytes, replies: int) -> None:
        self.heard += data
        self.replies += replies

    def erred(self, replies: int) -> None:
        self.errors += replies


@pytest.fixture
async def link() -> Link:
    link = Link(Owner())
    link.connection_made(Transport())
    return link


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize(
    "answers",
    [
        [[OK], [OK]],
        [[OK] * 20, [LONG], [OK] * 3],
        [[OK, ERROR, OK], [OK], [ERROR]],
        [[LONG, OK], [b":1\r\n"] * 9, [b"*2\r\n+a\r\n$-1\r\n"]],
    ],
)
async def test_each_hears_its_own(link, answers, step):
    askers = [Asker() for _ in answers]
    for asker, wanted in zip(askers, answers, strict=True):
        link.send(asker, b"", len(wanted))
    data = b"".join(b"".join(wanted) for wanted in answers)
    for at in range(0, len(data), step):
        link.data_received(data[at : at + step])
    assert [asker.heard for asker in askers] == [b"".join(wanted) for wanted in answers]
    assert [asker.replies for asker in askers] == [len(wanted) for wanted in answers]
    assert [asker.errors for asker in askers] == [wanted.count(ERROR) for wanted in answers]
    assert link.free
    assert not link.transport.aborted


@pytest.mark.parametrize("data", [OK * 3, OK * 2 + LONG, OK * 2 + b"$5", b"+O\r\n>1\r\n+a\r\n"])
async def test_what_nobody_asked_for_ends_the_link(link, data):
    link.send(Asker(), b"", 2)
    link.data_received(data)
    assert link.transport.aborted


@pytest.mark.parametrize("last", [OK, LONG, ERROR])
async def test_it_leaves_when_nothing_is_owed_any_more(link, last):
    link.send(Asker(), b"", 2)
    link.leave()
    link.data_received(OK)
    assert not link.transport.closed
    link.data_received(last)
    assert link.transport.closed


async def test_an_error_behind_ordinary_replies_may_be_a_reason_to_doubt(link):
    link.send(Asker(), b"", 3)
    link.data_received(OK * 2 + b"-READONLY it was demoted\r\n")
    assert link._owner.doubts == [b"READONLY it was demoted\r\n"]
