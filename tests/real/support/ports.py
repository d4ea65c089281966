"""Ports for servers that are told theirs in advance."""

import random
import socket

# below the ports that the kernel gives to outgoing connections, so that no client of a test takes one meanwhile
_FIRST, _LAST = 18000, 32000


def free_port() -> int:
    """A port on which nobody listens now."""
    for _ in range(200):
        port = random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port found")
