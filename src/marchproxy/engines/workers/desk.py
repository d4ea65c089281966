"""Desk: where a worker answers its supervisor."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic

from marchproxy.engines.workers.line import Answer, Garbled, Line, Question
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)


class Desk(Generic[Question, Answer]):
    """Answers one supervisor; the last one to connect is the one that is listened to."""

    def __init__(self, line: Line[Question, Answer], answer: Callable[[Question], Awaitable[Answer]]) -> None:
        self._line = line
        self._answer = answer
        self._caller: asyncio.StreamWriter | None = None

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one supervisor until it goes, or another one comes."""
        self.hang_up()
        self._caller = writer
        try:
            while True:
                self._line.write_answer(writer, await self._answer(await self._line.read_question(reader)))
                await writer.drain()
        except (EOFError, OSError):
            return  # gone, or replaced
        except Garbled as error:
            _log.warning("question not understood", reason=str(error))
        finally:
            writer.close()

    def hang_up(self) -> None:
        """Listen to nobody."""
        if self._caller is not None:
            self._caller.close()
            self._caller = None
