"""How a command that asks a running system runs: to its end, until Ctrl-C, or until a call fails."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from marchproxy.cli.entry import INTERRUPTED
from marchproxy.cli.failing import failing_clearly
from marchproxy.contract.fleet.client import CallFailed

R = TypeVar("R")


def run_client(make: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run the coroutine; CallFailed becomes one clear line. Raises typer.Exit."""
    with failing_clearly(CallFailed):
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio takes over from this one only
            return asyncio.run(make())
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
