"""Tools under a deadline: real processes, small ones."""

import asyncio
import sys

import psutil
import pytest
import uvloop

from marchproxy.engines.nftables.process import Finished, Lines, NftablesError, read_output, run_tool


async def test_input_output_and_exit_code():
    heard = bytearray()
    script = "import sys; print(sys.stdin.read().upper()); print('why', file=sys.stderr); sys.exit(3)"
    finished = await run_tool([sys.executable, "-c", script], timeout=10, stdin=b"words", take=heard.extend)
    assert finished == Finished(3, "why")
    assert heard == b"WORDS\n"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_tool_may_open_its_input_by_name(run):
    heard = bytearray()
    finished = run(run_tool(["cat", "/dev/stdin"], timeout=10, stdin=b"words", take=heard.extend))
    assert (finished, heard) == (Finished(0, ""), b"words")


async def test_a_tool_that_does_not_read_its_input():
    finished = await run_tool(["false"], timeout=10, stdin=b"x" * (4 << 20))
    assert finished.code == 1


async def test_too_late_is_killed():
    with pytest.raises(NftablesError, match=r"`sleep 60` was killed.*after 0\.1 s"):
        await run_tool(["sleep", "60"], timeout=0.1)
    assert not [child for child in psutil.Process().children() if "sleep" in child.name()]


async def test_cancelled_is_killed():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await run_tool(["sleep", "60"], timeout=10)
    assert not [child for child in psutil.Process().children() if "sleep" in child.name()]


async def test_ended_by_a_signal():
    with pytest.raises(NftablesError, match="SIGKILL"):
        await run_tool(["sh", "-c", "kill -9 $$"], timeout=10)


async def test_no_such_program():
    with pytest.raises(NftablesError, match="no-such-tool cannot be run"):
        await run_tool(["no-such-tool"], timeout=10)


async def test_output_has_a_limit():
    assert await read_output(["echo", "12345"], timeout=10, limit=6) == b"12345\n"
    with pytest.raises(NftablesError, match="more than 5 bytes"):
        await read_output(["echo", "12345"], timeout=10, limit=5)
    with pytest.raises(NftablesError, match="failed: why"):
        await read_output(["sh", "-c", "echo why >&2; exit 1"], timeout=10)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_from_pieces_of_any_size(size: int):
    text, lines = b"one\ntwo\n\nthree\n", []
    cut = Lines(lines.extend)
    for start in range(0, len(text), size):
        cut(text[start : start + size])
    assert lines == [b"one", b"two", b"", b"three"]
