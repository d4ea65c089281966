"""Tries a binary before the Envoy that serves is touched: is it an Envoy, of the kind, and does it take the bootstrap?"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.launch import Launcher
from marchproxy.kit.files import write_atomically

_SECONDS = 15.0
_END_SECONDS = 1.0
_OUTPUT_BYTES = 64 * 1024
_COMPATIBLE = "11.104"  # Envoy's --hot-restart-version, as `shared_memory` knows it


class UnfitBinary(Exception):
    """It cannot take over from the Envoy that runs; the message says why."""


async def try_binary(launcher: Launcher) -> None:
    """Have the binary that a start would run now look at the bootstrap. Raises UnfitBinary."""
    try:
        binary = launcher.binary()
    except EnvoyMissing as error:
        raise UnfitBinary(str(error)) from error
    version = (await _run(binary, "--hot-restart-version")).strip()
    if version != _COMPATIBLE:
        raise UnfitBinary(
            f"{binary} speaks version {version[:40] or '?'} of the hot restart, and {_COMPATIBLE} is needed: only a"
            " stop and a start can replace the running Envoy with it"
        )
    trial = launcher.directory.path / "envoy.trial.json"
    try:
        write_atomically(trial, launcher.bootstrap, durable=False)
        await _run(binary, "--mode", "validate", "-c", str(trial), *launcher.trial_arguments())
    except OSError as error:
        raise UnfitBinary(f"the bootstrap cannot be tried: {error}") from error
    finally:
        trial.unlink(missing_ok=True)


async def _run(binary: Path, *arguments: str) -> str:
    """Run the binary and return what it prints. Raises UnfitBinary when it fails or does not end."""
    try:
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise UnfitBinary(f"{binary} cannot be run: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(_SECONDS):
            text = await _read(process)
            code = await process.wait()
    except TimeoutError:
        raise UnfitBinary(f"{binary} {arguments[0]} does not end within {_SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            await _end(process)
    if code:
        raise UnfitBinary(f"{binary} {arguments[0]} fails with exit code {code}: {_last_line(text)}")
    return text


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # what it has written must be read, or asyncio never hears of its end
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await process.communicate()


async def _read(process: asyncio.subprocess.Process) -> str:
    output = b""
    if process.stdout is not None:
        while len(output) < _OUTPUT_BYTES and (chunk := await process.stdout.read(_OUTPUT_BYTES)):
            output += chunk
    return output.decode(errors="replace")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:500] if lines else "it says nothing"
