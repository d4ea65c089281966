"""Ports for servers that are told theirs in advance."""

import random
import socket

# below the ports that the kernel gives to outgoing connections, so that no client of a test takes one meanwhile
_FIRST, _LAST = 18000, 32000
_given: set[int] = set()


def free_port() -> int:
    """A port on which nobody listens now; never the same one twice."""
    for _ in range(200):
        port = random.randint(_FIRST, _LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise OSError("no free port found")
