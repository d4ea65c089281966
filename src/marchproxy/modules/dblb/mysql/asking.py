"""Asking: statements of the proxy's own on a link that owes nothing, such as a look at a server, or a setting."""

from collections.abc import Sequence

from marchproxy.modules.dblb.inbox import LoginInbox
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.wire.mysql.packets import Packets, packet
from marchproxy.wire.mysql.results import PrepareResult, Result, Row

_LONGEST, _MOST_PACKETS = 1 << 20, 2000


class AnswerInbox(LoginInbox[tuple[int, bytes]]):
    """The packets of a small answer."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Packets(longest=_LONGEST).feed, most=_MOST_PACKETS)


async def prepare(link: Link, statement: bytes) -> int:
    """Prepare a statement; the number that the server gives it. Raises as `ask` does."""
    answer = PrepareResult(link.capabilities)
    await _hear(link, b"\x16" + statement, answer)
    return answer.number


async def ask(link: Link, statement: bytes) -> Sequence[Row]:
    """The rows of one statement. The caller sets the deadline.

    Raises Refused; and ProtocolFault, PeerGone: the link is of no use any more, as it is when this is cancelled.
    """
    result = Result(link.capabilities)
    await _hear(link, b"\x03" + statement, result)
    return result.rows


async def _hear(link: Link, command: bytes, answer: PrepareResult | Result) -> None:
    inbox = link.inbox = AnswerInbox()
    link.send(packet(0, command))
    try:
        while not answer.done:
            _, payload = await inbox.next()
            answer.feed(payload)
    finally:
        if answer.done:
            link.inbox = None
