"""Ports for servers that are told theirs in advance."""

import random
import socket

# below the ports that the kernel gives to outgoing connections, so that no client of a test takes one meanwhile
_FIRST, _LAST, _BLOCK = 18000, 32000, 500
_own: list[int] = []


def free_port() -> int:
    """A port on which nobody listens now; never the same one twice, and no other test process is given it."""
    while True:
        if not _own:
            _own.extend(_claim_block())
        port = _own.pop()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _claim_block() -> list[int]:
    """Ports that are this process's until it ends, even while the server that was told one is down.

    Who holds a block holds its name among the abstract sockets, which belong to a network namespace as ports do.
    """
    blocks = list(range(_FIRST, _LAST, _BLOCK))
    for first in random.sample(blocks, len(blocks)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0marchproxy-test-ports-{first}")
        except OSError:
            claim.close()
            continue
        claim.detach()  # the name is free again when the process ends
        return random.sample(range(first, first + _BLOCK), _BLOCK)
    raise OSError("no free port found: other test processes hold every block")
