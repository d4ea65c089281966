"""The stand-in takes what an Envoy says to its predecessor when that is gone.

An Envoy that was started hot tells its predecessor once more to end: when the time to finish is up, or when a third one
starts. If nobody listens there any more, because the predecessor crashed or was ended early, it tries for ten seconds and
aborts. So a socket is bound beside the predecessor's; the keeper of the successor holds it open, and the keeper of the
predecessor moves it to the predecessor's place when that has ended. Neither needs us for that (ADR 17).
"""

import os
import socket
from contextlib import suppress
from pathlib import Path

from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.engines.envoy.run_directory import HOT_SOCKETS

_ROW = 3  # Envoy numbers the sockets of a row by the epoch modulo this, and its base ids by ten


def bind(directory: Path, old: PidRecord) -> socket.socket:
    """Return the socket for the time after `old`. Raises OSError."""
    aside = _aside(directory, old.base_id, old.epoch)
    aside.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        made.bind(f"/proc/self/fd/{folder}/{aside.name}")  # a Unix socket's path may have 107 bytes only
        aside.chmod(0o600)
    except BaseException:
        made.close()
        raise
    finally:
        os.close(folder)
    return made


def place_command(directory: Path, base_id: int, epoch: int) -> tuple[str, ...]:
    """Return the command that puts the stand-in, if there is one, in the place of an Envoy that has ended."""
    return ("mv", "-f", str(_aside(directory, base_id, epoch)), str(_place(directory, base_id, epoch)))


def place(directory: Path, old: PidRecord) -> None:
    """Do it here, where the keeper of `old` may not have lived to."""
    with suppress(FileNotFoundError):
        _aside(directory, old.base_id, old.epoch).replace(_place(directory, old.base_id, old.epoch))


def _aside(directory: Path, base_id: int, epoch: int) -> Path:
    return directory / f"{HOT_SOCKETS}_after_{base_id * 10 + epoch % _ROW}"


def _place(directory: Path, base_id: int, epoch: int) -> Path:
    return directory / f"{HOT_SOCKETS}_parent_{base_id * 10 + epoch % _ROW}"
