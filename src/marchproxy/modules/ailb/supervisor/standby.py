"""Standby: sockets in the place of those of a process that has died, in whose queues Envoy's questions, and what it reports, wait."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.listening import listen_at

_log = get_logger(__name__)


@contextmanager
def standing_by(*paths: Path) -> Iterator[None]:
    """Listen at these and answer nobody; who has asked by the end of the block is hung up on, and asks the successor.

    Without it, Envoy would find nobody there and try again at times of its own; and throw away what it has to report, while it keeps
    what somebody only is too slow to take.
    """
    with ExitStack() as stack:
        try:
            for path in paths:
                stack.enter_context(listen_at(path))
        except OSError as error:
            _log.warning("nobody stands by for the decider", reason=str(error))
        yield
