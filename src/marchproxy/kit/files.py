"""Files: writing in a way that a crash leaves either the old content or the new, never a part."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def default_state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The system's folder for what programs must remember: /var/lib for root, XDG_STATE_HOME for everybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/marchproxy")
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "marchproxy"


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` with `data`: temporary file beside it, fsync, rename, fsync of the directory.

    Not `durable`: without fsync, which takes milliseconds. It outlives this process, but perhaps not the host's power.
    Raises OSError; then the old file is untouched and the temporary one is gone.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)


def write_new(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Make `path` with `data`, durably, for the first of several that try: FileExistsError for the others.

    Nobody sees it half written. Raises OSError as `write_atomically` does.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        written = Path(folder, path.name)
        write_atomically(written, data, mode=mode)
        path.hardlink_to(written)
    _sync_directory(path.parent)


def file_signature(path: str | Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where there is none that can be looked at."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
