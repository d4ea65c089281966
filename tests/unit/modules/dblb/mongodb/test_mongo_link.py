"""A link to a server: answers go to who asked, and what breaks the protocol ends it."""

import pytest

from marchproxy.modules.dblb.mongodb.link import Link
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import message


class Transport:
    def __init__(self) -> None:
        self.sent = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted = True


class Asker:
    def __init__(self, fault: bool = False) -> None:
        self.heard: list[tuple[bytes, bool]] = []
        self.lost: list[str] = []
        self._fault = fault

    def answered(self, _link: Link, answer: bytes, *, more: bool) -> None:
        if self._fault:
            raise ProtocolFault("a cursor without an end")
        self.heard.append((answer, more))

    def link_lost(self, _link: Link, reason: str) -> None:
        self.lost.append(reason)


@pytest.fixture
def link() -> Link:
    link = Link(1 << 20)
    link.connection_made(Transport())
    return link


def reply(to: int) -> bytes:
    return message.build({"ok": 1.0}, number=9, answers=to)


def test_an_answer_goes_to_who_asked(link):
    asker = Asker()
    link.ask({"ping": 1, "$db": "admin"}, asker)
    link.data_received(reply(1)[:10])
    link.data_received(reply(1)[10:])
    assert asker.heard == [(reply(1), False)]
    assert link.asker is None


@pytest.mark.parametrize("data", [reply(2), bytes(16), reply(1)[:12] + b"\1\0\0\0" + reply(1)[16:]])
def test_an_answer_to_something_else_ends_the_link(link, data):
    asker = Asker()
    link.ask({"ping": 1, "$db": "admin"}, asker)
    link.data_received(data)
    assert link.transport.aborted
    link.connection_lost(None)
    assert len(asker.lost) == 1
    assert not asker.heard


def test_who_cannot_read_an_answer_hears_that_the_link_is_lost(link):
    asker = Asker(fault=True)
    link.ask({"ping": 1, "$db": "admin"}, asker)
    link.data_received(reply(1))
    assert link.transport.aborted
    link.connection_lost(None)
    assert asker.lost == ["the server broke the protocol: a cursor without an end"]


def test_what_nobody_asked_for_ends_the_link(link):
    link.data_received(reply(0))
    assert link.transport.aborted
