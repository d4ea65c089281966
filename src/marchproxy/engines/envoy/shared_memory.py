"""The piece of /dev/shm that the Envoys of one hot restart share: reserved, repaired and removed here.

Envoy's own layout, which it versions: source/server/hot_restart_impl.h (HOT_RESTART_VERSION 11, 104 bytes).
https://github.com/envoyproxy/envoy/blob/v1.40.0/source/server/hot_restart_impl.h
"""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 - where shm_open(3) puts it, with an exclusive create
_SCALE = 10  # Envoy multiplies a base id by this
_MOST = 2**31 // _SCALE  # beyond, the names of its sockets overflow
_ATTEMPTS = 64
_HEADER = struct.Struct("<QQ")  # size, version
_KNOWN = (104, 11)
_FLAGS_AT = 96  # behind the two locks of logs
_INITIALIZING = 0x1


def reserve(seed: str) -> int | None:
    """Return a base id that no other Envoy of this host uses; None where there is no shared memory to be had.

    Its file exists from here on, so two that reserve at the same moment never get the same. `seed` decides where the
    search begins.
    """
    start = zlib.crc32(seed.encode())
    for attempt in range(_ATTEMPTS):
        base_id = (start + attempt * 7919) % (_MOST - 1) + 1
        try:
            os.close(os.open(path_of(base_id), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
        except OSError:
            return None
        return base_id
    return None


def remove(base_id: int) -> None:
    """Remove what the last Envoy of this base id left; nothing happens when it left nothing."""
    with suppress(OSError):
        path_of(base_id).unlink(missing_ok=True)


def is_starting(base_id: int) -> bool:
    """Whether an Envoy has said that it starts, and not yet that it has taken over. Raises OSError."""
    return bool(_flags(path_of(base_id).read_bytes()) & _INITIALIZING)


def forget_start(base_id: int) -> None:
    """Undo what an Envoy said that died while it started: until then Envoy refuses every further one.

    Only while none starts. Raises OSError when the memory cannot be written, or is not laid out as known.
    """
    with path_of(base_id).open("r+b", buffering=0) as file:
        flags = _flags(file.read(_KNOWN[0] + 1))
        file.seek(_FLAGS_AT)
        file.write((flags & ~_INITIALIZING).to_bytes(8, "little"))


def path_of(base_id: int) -> Path:
    """Return where Envoy keeps it."""
    return _FOLDER / f"envoy_shared_memory_{base_id * _SCALE}"


def _flags(content: bytes) -> int:
    if len(content) != _KNOWN[0] or _HEADER.unpack_from(content) != _KNOWN:
        raise OSError("the shared memory of Envoy's hot restart is not laid out as in version 11.104")
    return int.from_bytes(content[_FLAGS_AT:], "little")
