"""Entry: what runs before anything slow is imported, so that Ctrl-C ends the command from its first moment.

Python raises KeyboardInterrupt wherever it happens to be; inside the import system, in a callback, it is printed or lost.
"""

import os
import signal
from types import FrameType
from typing import Never

INTERRUPTED = 130
"""The exit code of a command that was interrupted, as shells have it."""

COMPLETE = "_MARCHPROXY_COMPLETE"
"""The variable in which a shell says that it asks how a line goes on."""


def main() -> None:
    """Run the command line; the console script `marchproxy`."""
    signal.signal(signal.SIGINT, _leave)
    from marchproxy.cli.main import app  # noqa: PLC0415 - the point of this module

    if COMPLETE in os.environ:  # what typer does by itself only with options of its own for it
        from typer._completion_classes import completion_init  # noqa: PLC0415 - hardly ever needed

        completion_init()
    app(prog_name="marchproxy")


def _leave(_signal: int, _frame: FrameType | None) -> Never:
    # nothing is under way yet: who starts something puts its own handler in place first
    os._exit(INTERRUPTED)
