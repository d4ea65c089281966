"""Transcoder: one ffmpeg that runs: bytes in, bytes of each output, and what it says before it ends."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack

#: Bytes that may wait for it: seconds of any stream.
MOST_WAITING = 32 * 1024 * 1024
_TAIL = 400


class Overrun(Exception):
    """It is too slow for what it is given."""


class Ended(Exception):
    """It has ended by itself; says what it said last."""


class Transcoder:
    """Feed it, and `run` it; `took` is called with the number of an output and bytes of it."""

    def __init__(self, took: Callable[[int, bytes], None]) -> None:
        self._took = took
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._fed = asyncio.Event()
        self._overrun = False

    def feed(self, data: bytes) -> None:
        """Bytes for its input, behind the others."""
        self._size += len(data)
        if self._size > MOST_WAITING:
            self._overrun = True
            self._waiting.clear()
        else:
            self._waiting.append(data)
        self._fed.set()

    async def run(self, command: Callable[[Sequence[int]], Sequence[str]], outputs: int) -> None:
        """Run the command, which is told its outputs' descriptors, until it is cancelled; nothing of it is left then.

        Raises Ended, Overrun, OSError.
        """
        with ExitStack() as stack:
            ends = [await self._open(index, stack) for index in range(outputs)]
            process = await asyncio.create_subprocess_exec(
                *command(ends),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=ends,
            )
            for end in ends:
                os.close(end)
            try:
                await self._attend(process)
            finally:
                await _end(process)

    async def _open(self, index: int, stack: ExitStack) -> int:
        """A pipe whose near end is read from now on; returns the far one, which is not ours to keep."""
        near, far = os.pipe()
        loop = asyncio.get_running_loop()
        output = _Output(lambda data: self._took(index, data))
        transport, _ = await loop.connect_read_pipe(lambda: output, os.fdopen(near, "rb", buffering=0))
        stack.callback(transport.close)
        return far

    async def _attend(self, process: asyncio.subprocess.Process) -> None:
        said = bytearray()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(process))
                listening = group.create_task(_listen(process, said))
                await process.wait()
                await listening
                words = said.decode("utf-8", "replace").strip().replace("\n", "; ")
                raise Ended(words or f"exit status {process.returncode}")
        except* (Ended, Overrun, OSError) as errors:
            raise errors.exceptions[0] from None

    async def _write(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        while True:
            await self._fed.wait()
            self._fed.clear()
            if self._overrun:
                raise Overrun(f"{MOST_WAITING} bytes wait for it")
            data = b"".join(self._waiting)
            self._waiting.clear()
            if process.stdin.is_closing():
                return  # it has ended, and says why; uvloop takes no more for such a pipe
            try:
                process.stdin.write(data)
                await process.stdin.drain()
            except ConnectionError:
                return  # it has ended, and says why
            self._size -= len(data)


class _Output(asyncio.Protocol):
    def __init__(self, took: Callable[[bytes], None]) -> None:
        self._took = took

    def data_received(self, data: bytes) -> None:
        self._took(data)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing of it is left, nor of what it did not take."""
    if process.returncode is None:
        process.kill()
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.transport.abort()
        await process.wait()
    await asyncio.sleep(0)  # transports close a turn later


async def _listen(process: asyncio.subprocess.Process, said: bytearray) -> None:
    """Keep the end of what it says."""
    assert process.stderr is not None
    while data := await process.stderr.read(4096):
        said += data
        del said[:-_TAIL]
