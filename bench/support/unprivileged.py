"""Database servers as another user than root, whom PostgreSQL and MariaDB refuse to serve."""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all", "--")


def unprivileged() -> tuple[str, ...]:
    """What runs a command as another user when this one is root."""
    return _NOBODY if os.geteuid() == 0 else ()


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder that such a server owns, at a place that it can reach; pytest's are closed to other users."""
    folder = Path(mkdtemp(prefix="marchproxy-"))
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder)


def postgres_programs() -> Path:
    """Where the programs of the newest PostgreSQL are that is installed."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
