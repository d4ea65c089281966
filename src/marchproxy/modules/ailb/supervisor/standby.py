"""Standby: a socket in the place of a process that has died, in whose queue Envoy's questions wait for its successor."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.listening import listen_at

_log = get_logger(__name__)


@contextmanager
def standing_by(path: Path) -> Iterator[None]:
    """Listen at `path` and answer nobody; who has asked by the end of the block is hung up on, and asks the successor.

    Without it, Envoy would find nobody there and try again at times of its own.
    """
    try:
        listening = listen_at(path)
    except OSError as error:
        _log.warning("nobody stands by for the decider", reason=str(error))
        yield
        return
    with listening:
        yield
