"""One page, asked for again and again, as a dialogue of bytes."""

import asyncio

import pytest

from marchproxy.modules.ailb.load.page import MOST_BYTES, NoPage, PageReader


class Wire(asyncio.Transport):
    """What was sent, and whether it was ended."""

    def __init__(self):
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data):
        self.sent += data

    def abort(self):
        self.closed = True

    def is_closing(self):
        return self.closed


class Dialogue:
    def __init__(self, path="/metrics"):
        self.wire = Wire()
        self.reader = PageReader("10.0.0.1:80", path)
        self.reader.connection_made(self.wire)

    async def read(self, *pieces):
        """What is read when these come, one after the other."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.reader.read())
            await asyncio.sleep(0)
            for piece in pieces:
                self.reader.data_received(piece)
            return await task

    async def lost(self, error):
        """What is read when the connection is lost within an answer."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reader.read())
            await asyncio.sleep(0)
            self.reader.data_received(ANSWER[:-2])
            self.reader.connection_lost(error)

    async def fault(self, *pieces):
        with pytest.raises(ExceptionGroup) as caught:
            await self.read(*pieces)
        (error,) = caught.value.exceptions
        assert isinstance(error, NoPage)
        assert self.wire.closed
        assert not self.reader.is_open
        return str(error)


ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nmetric"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nmet\r\n3;x=y\r\nric\r\n0\r\na: b\r\n\r\n"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED, CONTINUE + ANSWER])
async def test_an_answer_may_come_whole_or_byte_by_byte(answer):
    dialogue = Dialogue()
    assert await dialogue.read(answer) == b"metric"
    assert await dialogue.read(*(answer[at : at + 1] for at in range(len(answer)))) == b"metric"
    assert dialogue.wire.sent.count(b"GET /metrics HTTP/1.1\r\nHost: 10.0.0.1:80\r\n") == 2
    assert dialogue.reader.is_open


async def test_an_empty_page_is_one():
    assert await Dialogue().read(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") == b""


@pytest.mark.parametrize(
    ("path", "target"),
    [("/m?a=b&c=%20", b"/m?a=b&c=%20"), ("/é x", b"/%C3%A9%20x"), ("/m\r\nX: y", b"/m%0D%0AX:%20y")],
)
async def test_a_path_is_one_word(path, target):
    dialogue = Dialogue(path)
    await dialogue.read(ANSWER)
    assert dialogue.wire.sent.startswith(b"GET " + target + b" HTTP/1.1\r\nHost: ")
    assert dialogue.wire.sent.count(b"\r\n") == 4


async def test_who_wants_to_close_is_asked_no_more():
    dialogue = Dialogue()
    assert await dialogue.read(ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")) == b"metric"
    assert not dialogue.reader.is_open
    with pytest.raises(NoPage, match="closed"):
        await dialogue.reader.read()


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"], "status 404"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], "status 204"),
        ([b"SSH-2.0-OpenSSH\r\n"], "not HTTP/1.1"),
        ([b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], ""),
        ([b"HTTP/1.1 200 OK\r\nx: " + b"y" * MOST_BYTES], "more than"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n", *[b"x" * 65536] * 17], "more than"),
    ],
)
async def test_what_is_no_page_ends_the_connection(pieces, words):
    assert words in await Dialogue().fault(*pieces)


@pytest.mark.parametrize(
    ("error", "words"), [(None, "it closed the connection"), (ConnectionResetError("reset"), "reset")]
)
async def test_a_connection_that_is_lost_has_no_page(error, words):
    with pytest.raises(ExceptionGroup) as caught:
        await Dialogue().lost(error)
    assert words in str(caught.value.exceptions[0])


async def test_who_speaks_unasked_is_not_listened_to():
    dialogue = Dialogue()
    await dialogue.read(ANSWER)
    dialogue.reader.data_received(ANSWER)
    assert not dialogue.reader.is_open


async def test_what_is_not_waited_for_any_more_ends_the_connection_when_it_comes():
    dialogue = Dialogue()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await dialogue.reader.read()
    dialogue.reader.data_received(ANSWER)
    assert dialogue.wire.closed


async def test_nobody_is_asked_before_there_is_a_connection():
    with pytest.raises(NoPage):
        await PageReader("10.0.0.1:80", "/").read()
