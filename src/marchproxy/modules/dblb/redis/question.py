"""Question: replies to a coroutine, and replies to nobody."""

import asyncio

from marchproxy.modules.dblb.redis.link import Link

_MOST_BYTES = 1024 * 1024


class Question:
    """Replies to a coroutine: of a login, or of a look at a server."""

    def __init__(self, replies: int) -> None:
        self._left = replies
        self._data = b""
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answered(self, data: bytes, replies: int) -> None:
        """See Asker."""
        self._data += data
        self._left -= replies
        if len(self._data) > _MOST_BYTES and not self.answer.done():
            self.answer.set_exception(ConnectionError("the server answers more than anybody asked"))
        if not self._left and not self.answer.done():
            self.answer.set_result(self._data)

    def erred(self, replies: int) -> None:
        """See Asker."""

    def relayed(self, data: bytes) -> None:
        """See Asker."""

    def link_lost(self, link: Link, *, owed: int, cut: bool) -> None:  # noqa: ARG002 - as an Asker has it
        """See Asker."""
        if not self.answer.done():
            self.answer.set_exception(ConnectionError("the server closed the connection"))

    def link_relieved(self) -> None:
        """See Asker."""


async def ask(link: Link, commands: bytes, replies: int) -> bytes:
    """The bytes of so many replies. Raises ConnectionError; the caller sets the deadline."""
    if link.lost:
        raise ConnectionError("the server closed the connection")
    question = Question(replies)
    link.send(question, commands, replies)
    return await question.answer


class Nobody:
    """Replies that nobody wants."""

    def answered(self, data: bytes, replies: int) -> None:
        """See Asker."""

    def erred(self, replies: int) -> None:
        """See Asker."""

    def relayed(self, data: bytes) -> None:
        """See Asker."""

    def link_lost(self, link: Link, *, owed: int, cut: bool) -> None:
        """See Asker."""

    def link_relieved(self) -> None:
        """See Asker."""


NOBODY = Nobody()
