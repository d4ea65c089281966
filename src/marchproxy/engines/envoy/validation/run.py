"""Run: one Envoy that judges one configuration and ends. https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/cli"""

import asyncio
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from marchproxy.engines.envoy.validation.words import reason

_MOST_OUTPUT = 256 * 1024  # bytes; Envoy repeats the whole message before it says what is wrong with it
_REFUSED = ("error initializing configuration", "Proto constraint validation failed")
_ENDING_SECONDS = 5.0


class Unjudged(Exception):
    """Envoy gave no judgement: it could not be started, was killed, or took too long."""


async def judge(
    binary: Path, content: bytes, base: str, *, directory: Path, timeout: float = 20.0
) -> str | None:
    """Why Envoy refuses a bootstrap, or None when it would take it. Raises Unjudged; `timeout` in seconds.

    `content` is a serialised Bootstrap, `base` another one as JSON, which Envoy merges into it. The file is readable
    by this user alone, because secrets are in it, and gone when this returns.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=directory, suffix=".pb") as file:
            file.write(content)
            file.flush()
            process = await asyncio.create_subprocess_exec(
                *_command(binary, file.name, base), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
            )
            try:
                async with asyncio.timeout(timeout):
                    output = await _last_words(process)
                    status = await process.wait()
            finally:
                await _end(process)
    except TimeoutError:
        raise Unjudged(f"{binary} --mode validate did not end within {timeout:g} s") from None
    except OSError as error:
        raise Unjudged(f"{binary} --mode validate cannot be run: {error}") from error
    if status == 0:
        return None
    words = output.decode(errors="replace")
    if status < 0 or not any(mark in words for mark in _REFUSED):
        raise Unjudged(f"{binary} --mode validate ended with {status}: {reason(words)}")
    return reason(words)


def _command(binary: Path, file: str, base: str) -> tuple[str, ...]:
    return (
        *(str(binary), "--mode", "validate", "-c", file, "--config-yaml", base),
        *("--disable-hot-restart", "--concurrency", "1", "--log-level", "critical"),
    )


async def _last_words(process: Process) -> bytes:
    """The end of what it writes, so that a talkative one is neither blocked nor kept."""
    assert process.stderr is not None
    output = b""
    while chunk := await process.stderr.read(65_536):
        output = (output + chunk)[-_MOST_OUTPUT:]
    return output


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        async with asyncio.timeout(_ENDING_SECONDS):
            await asyncio.shield(process.wait())
