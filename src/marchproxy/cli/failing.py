"""How a command fails: one clear line per problem, on stderr, in red on a terminal; never a traceback for what a
person can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from marchproxy.kit.settings import SettingsError

FAILED = 1


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print the message and end the command with an exit code, 1 for most failures."""
    for line in message.splitlines():
        typer.secho(line, fg=typer.colors.RED, err=True)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """Print a warning, on stderr."""
    typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)


@contextmanager
def failing_clearly(*expected: type[Exception]) -> Iterator[None]:
    """Turn expected exceptions, also those that a TaskGroup wrapped, into `fail`; SettingsError is always expected."""
    kinds: tuple[type[Exception], ...] = (SettingsError, *expected)
    try:
        yield
    except kinds as error:
        fail(_words(error))
    except ExceptionGroup as group:
        _, others = group.split(kinds)
        if others is not None:
            raise
        fail("\n".join(dict.fromkeys(_words(error) for error in _leaves(group))))


def _words(error: Exception) -> str:
    problems = getattr(error, "problems", ())
    if isinstance(error, SettingsError) or not problems:
        return str(error)
    return "\n".join(
        [str(error), *(f"  {problem}" for problem in problems if str(problem) not in str(error))]
    )


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
