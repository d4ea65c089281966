"""Typist: runs commands one after the other, each in a fork of a process that has imported them already.

An interpreter that starts takes longer than most commands do; here that is paid once. What a command sees is its own
process all the same: its arguments, stdin, stdout, exit code, and no terminal.
"""

import asyncio
import json
import os
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from marchproxy.cli.entry import main

_SECONDS = 60.0
_IMPORTED = (
    "main",
    "managed.canary",
    "managed.here",
    "managed.looking",
    "managed.proposing",
    "managed.top.screen",
)


class Typist:
    """The process, asked one command at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._one_at_a_time = asyncio.Lock()

    async def type(self, *words: str, typed: str = "") -> tuple[int, str, str]:
        """Run a command; its exit code, stdout and stderr. `typed` is its stdin."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._one_at_a_time, asyncio.timeout(_SECONDS):
            self._process.stdin.write(json.dumps([words, typed]).encode() + b"\n")
            answer = await self._process.stdout.readline()
        code, out, err = json.loads(answer)
        return code, out, err


@asynccontextmanager
async def typist() -> AsyncIterator[Typist]:
    """One for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.real.support.typist"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    try:
        yield Typist(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _serve() -> None:
    for module in _IMPORTED:
        import_module(f"marchproxy.cli.{module}")
    for line in sys.stdin:
        words, typed = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            answer = _run(Path(folder), words, typed)
        print(json.dumps(answer), flush=True)  # noqa: T201 - it is what was asked for


def _run(folder: Path, words: Sequence[str], typed: str) -> tuple[int, str, str]:
    (folder / "in").write_text(typed)
    child = os.fork()
    if not child:
        _become(folder, words)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), (folder / "out").read_text(), (folder / "err").read_text()


def _become(folder: Path, words: Sequence[str]) -> None:
    """Run the command in this process, and end it."""
    for descriptor, name, flags in ((0, "in", os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        os.dup2(os.open(folder / name, flags | os.O_CREAT), descriptor)
    code = 1
    try:
        sys.stdin = os.fdopen(0, "r", closefd=False)
        sys.argv = ["marchproxy", *words]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter does it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
