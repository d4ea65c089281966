"""Process: runs one short-lived tool (nft, conntrack, ip) under a deadline and hands its output over in pieces."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from subprocess import PIPE, Popen
from typing import IO, BinaryIO

_CHUNK = 1 << 18
_MAX_ERROR = 64 << 10


class NftablesError(Exception):
    """The kernel's rules or connections could not be read or written; the message says which tool said what."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a tool ended: its exit code and what it said on stderr (the first 64 KiB)."""

    code: int
    complaint: str


async def run_tool(
    command: Sequence[str], *, timeout: float, stdin: bytes = b"", take: Callable[[bytes], object] = len
) -> Finished:
    """Run to the end and give stdout to `take` piece by piece, as it comes; `take` must not raise. No shell.

    Raises NftablesError when the tool cannot be started, is ended by a signal, or has not ended after `timeout` seconds;
    then it has been killed.
    """
    try:
        with _as_file(stdin) as source:
            # not through the loop: uvloop forks, which copies the page tables of a process of 100 MB and takes 10 ms
            process = Popen(command, stdin=source, stdout=PIPE, stderr=PIPE)  # noqa: ASYNC220 - half a millisecond
    except OSError as error:
        raise NftablesError(f"{command[0]} cannot be run: {error}") from error
    name = " ".join(command)
    try:
        async with asyncio.timeout(timeout):
            complaint = await _listen(process, take)
            code = await asyncio.to_thread(process.wait)
    except TimeoutError as error:
        raise NftablesError(f"`{name}` was killed: it had not ended after {timeout:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.to_thread(process.wait)
    if code < 0:
        raise NftablesError(f"`{name}` was ended by {signal.Signals(-code).name}")
    return Finished(code, complaint)


async def read_output(command: Sequence[str], *, timeout: float, limit: int = 64 << 20) -> bytes:
    """Run and return stdout. Raises NftablesError, also for a non-zero exit or more than `limit` bytes."""
    output = bytearray()

    def take(piece: bytes) -> None:
        output.extend(piece[: limit + 1 - len(output)])

    finished = await run_tool(command, timeout=timeout, take=take)
    if finished.code:
        raise NftablesError(f"`{' '.join(command)}` failed: {finished.complaint}")
    if len(output) > limit:
        raise NftablesError(f"`{' '.join(command)}` printed more than {limit} bytes")
    return bytes(output)


class Lines:
    """Cuts pieces into whole lines and hands each batch over; holds back at most one unfinished line."""

    def __init__(self, take: Callable[[list[bytes]], object]) -> None:
        self._take = take
        self._rest = b""

    def __call__(self, piece: bytes) -> None:
        """Take the next piece."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._take(lines)


@contextmanager
def _as_file(data: bytes) -> Iterator[BinaryIO]:
    # nft opens /dev/stdin by its name, which works for a file and a pipe, and not for the socket that uvloop would give it
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(data)
        file.seek(0)
        yield file


async def _listen(process: Popen[bytes], take: Callable[[bytes], object]) -> str:
    assert process.stdout and process.stderr  # noqa: PT018 - both pipes were asked for
    async with _reading(process.stdout) as output, _reading(process.stderr) as errors:
        async with asyncio.TaskGroup() as group:
            complaint = group.create_task(_read_start(errors))
            while piece := await output.read(_CHUNK):
                take(piece)
        return complaint.result()


@asynccontextmanager
async def _reading(pipe: IO[bytes]) -> AsyncIterator[asyncio.StreamReader]:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        yield reader
    finally:
        transport.close()


async def _read_start(stream: asyncio.StreamReader) -> str:
    start = bytearray()
    while piece := await stream.read(_CHUNK):
        start += piece[: _MAX_ERROR - len(start)]
    return start.decode(errors="replace").strip()
