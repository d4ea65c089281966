"""Line: what is asked of a worker, and what that answers: JSON behind a length, over a Unix socket.

One question at a time, each answered at once; whatever takes time goes on in the worker and shows in later answers.
"""

import asyncio
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

_PREFIX = 4
#: Bytes of a message.
LONGEST = 64 * 1024 * 1024

Question = TypeVar("Question")
Answer = TypeVar("Answer")
_M = TypeVar("_M")


class Garbled(Exception):
    """The other side sent something else than a message."""


class Line(Generic[Question, Answer]):
    """The messages of a conversation."""

    def __init__(self, questions: TypeAdapter[Question], answers: TypeAdapter[Answer]) -> None:
        self._questions = questions
        self._answers = answers

    async def read_question(self, reader: asyncio.StreamReader) -> Question:
        """The next question. Raises Garbled, EOFError at the end of the stream, OSError."""
        return _parse(self._questions, await _read(reader))

    async def read_answer(self, reader: asyncio.StreamReader) -> Answer:
        """The next answer. Raises as `read_question`."""
        return _parse(self._answers, await _read(reader))

    def write_question(self, writer: asyncio.StreamWriter, question: Question) -> None:
        """Send it."""
        _write(writer, self._questions.dump_json(question))

    def write_answer(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        """Send it."""
        _write(writer, self._answers.dump_json(answer))


def _parse(kind: TypeAdapter[_M], body: bytes) -> _M:
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        raise Garbled(str(error)) from error


def _write(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(len(body).to_bytes(_PREFIX) + body)


async def _read(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(_PREFIX))
    if size > LONGEST:
        raise Garbled(f"a message of {size} bytes")
    return await reader.readexactly(size)
