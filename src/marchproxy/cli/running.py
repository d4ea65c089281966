"""How a command that asks a running system runs: to its end, until Ctrl-C, or until a call fails."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from marchproxy.cli.client import CallFailed
from marchproxy.cli.failing import failing_clearly

R = TypeVar("R")
_INTERRUPTED = 130


def run_client(make: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run the coroutine; CallFailed becomes one clear line. Raises typer.Exit."""
    with failing_clearly(CallFailed):
        try:
            return asyncio.run(make())
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None
