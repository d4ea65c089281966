"""Listening: a Unix socket that is bound aside and then put in its place, so that there is one at any moment."""

import socket
from pathlib import Path

BACKLOG = 4096


def listen_at(path: Path) -> socket.socket:
    """A listening socket, which takes the place of the one of an earlier process. Raises OSError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    aside = path.with_suffix(".new")
    try:
        aside.unlink(missing_ok=True)
        listening.bind(bytes(aside))
        listening.listen(BACKLOG)
        aside.rename(path)
    except BaseException:
        listening.close()
        raise
    return listening
