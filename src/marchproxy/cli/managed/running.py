"""How a command that asks a manager runs, and its exit codes: 1 refused, 2 misuse, 3 not reached, 130 interrupted."""

import asyncio
import json
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from marchproxy.cli.entry import INTERRUPTED
from marchproxy.cli.failing import fail, failing_clearly
from marchproxy.cli.managed.asked import Asked, find_place
from marchproxy.cli.managed.client import Api, NotAccepted, Unreachable
from marchproxy.cli.managed.telling import told
from marchproxy.cli.manager.place import ManagerAway, Place, client_of

R = TypeVar("R")
NOT_REACHED = 3


def run_api(asked: Asked, make: Callable[[Api], Coroutine[Any, Any, R]]) -> R:
    """Run the coroutine with the manager that is asked; failures become clear lines. Raises typer.Exit."""
    with api_failures(as_json=asked.as_json):
        return run_at(find_place(asked), make)


def run_at(place: Place, make: Callable[[Api], Coroutine[Any, Any, R]]) -> R:
    """Run the coroutine with the manager there. Raises as the calls of Api, and typer.Exit when it is interrupted."""

    async def run() -> R:
        async with client_of(place) as http:
            return await make(Api(http))

    with interruptible():
        return asyncio.run(run())


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the block, which may wait for somebody's answer, in order. Raises typer.Exit."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def api_failures(*, as_json: bool = False) -> Iterator[None]:
    """Tell what was refused or not reached, on stderr, and with `as_json` on stdout for programs. Raises typer.Exit."""
    try:
        with failing_clearly():
            yield
    except NotAccepted as error:
        if as_json:
            typer.echo(json.dumps(error.problem))
        fail("\n".join(told(error.status, error.problem)))
    except (Unreachable, ManagerAway) as error:
        fail(str(error), NOT_REACHED)
