"""What goes over a worker's line, and what is refused there."""

import asyncio
from typing import Annotated, Literal

import pytest
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from marchproxy.engines.workers.desk import Desk
from marchproxy.engines.workers.line import Garbled, Line


@dataclass(frozen=True)
class Add:
    one: int
    other: int
    kind: Literal["add"] = "add"


@dataclass(frozen=True)
class Say:
    words: str
    kind: Literal["say"] = "say"


LINE = Line(TypeAdapter(Annotated[Add | Say, Field(discriminator="kind")]), TypeAdapter(int | str))


class Wire:
    """Both ends of a stream in memory."""

    def __init__(self):
        self.reader = asyncio.StreamReader()

    def write(self, data):
        self.reader.feed_data(data)


@pytest.mark.parametrize("question", [Add(1, 2), Say("\u00fc")])
async def test_questions_arrive_as_they_were_asked(question):
    wire = Wire()
    LINE.write_question(wire, question)
    assert await LINE.read_question(wire.reader) == question


@pytest.mark.parametrize(
    "data", [b"\0\0\0\2{}", b"\xff\xff\xff\xff", b"\0\0\0\x04abcd", b'\0\0\0\x0e{"kind":"oh?"}']
)
async def test_what_is_no_message_is_refused(data):
    wire = Wire()
    wire.write(data)
    with pytest.raises(Garbled):
        await LINE.read_question(wire.reader)


async def test_a_message_that_is_cut_short_is_an_end():
    wire = Wire()
    wire.write(b"\0\0\0\x04ab")
    wire.reader.feed_eof()
    with pytest.raises(EOFError):
        await LINE.read_answer(wire.reader)


async def answer(question):
    return question.one + question.other if isinstance(question, Add) else question.words


async def ask(line, question):
    reader, writer = line
    LINE.write_question(writer, question)
    return await LINE.read_answer(reader)


async def test_a_desk_listens_to_the_last_who_came(tmp_path):
    desk = Desk(LINE, answer)
    async with await asyncio.start_unix_server(desk.talk, tmp_path / "s"):
        first = await asyncio.open_unix_connection(tmp_path / "s")
        assert await ask(first, Add(1, 2)) == 3
        second = await asyncio.open_unix_connection(tmp_path / "s")
        assert await ask(second, Say("here")) == "here"
        assert await first[0].read() == b""
        desk.hang_up()
        assert await second[0].read() == b""
        for _, writer in (first, second):
            writer.close()
            await writer.wait_closed()


async def test_a_desk_hangs_up_on_what_it_does_not_understand(tmp_path):
    desk = Desk(LINE, answer)
    async with await asyncio.start_unix_server(desk.talk, tmp_path / "s"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(b"\0\0\0\2{}")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
