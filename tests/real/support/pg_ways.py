"""The ways to say each statement, and a program that says all of one way and writes down what it is told.

    python -m tests.real.support.pg_ways WAY DSN FILE [--neighbour]

With a neighbour, another client uses the same connection to the server whenever it is free, and likes other settings.
"""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

from tests.real.support.pg_statements import COMMANDS, COPIES, ERRORS, PARAMETERS, SCRIPTS, VALUES
from tests.real.support.pg_telling import Teller, Told, telling, told

Say = Callable[[Teller], None]
_SINGLE = VALUES + ERRORS + COMMANDS
_AT_ONCE = 7


def _each(method: str, **options: bool) -> list[tuple[str, Say]]:
    def say(statement: str) -> Say:
        return lambda teller: getattr(teller, method)(statement, **options)

    return [(statement, say(statement)) for statement in _SINGLE]


def _with_parameters(method: str, *, binary: bool) -> list[tuple[str, Say]]:
    def say(statement: str, values: tuple[str | None, ...], types: tuple[int, ...]) -> Say:
        return lambda teller: getattr(teller, method)(statement, values, types, binary=binary)

    return [(item[0], say(*item)) for item in PARAMETERS]


def _pipelines() -> list[tuple[str, Say]]:
    def say(batch: tuple[str, ...]) -> Say:
        return lambda teller: teller.pipelined(batch)

    batches = [_SINGLE[at : at + _AT_ONCE] for at in range(0, len(_SINGLE), _AT_ONCE)]
    return [(" | ".join(batch), say(batch)) for batch in batches]


def _scripts() -> list[tuple[str, Say]]:
    def copy(statement: str, data: tuple[bytes, ...] | None) -> Say:
        return lambda teller: teller.copied(statement, data)

    def script(statement: str) -> Say:
        return lambda teller: teller.simple(statement)

    return [(text, script(text)) for text in SCRIPTS] + [(item[0], copy(*item)) for item in COPIES]


WAYS: dict[str, list[tuple[str, Say]]] = {
    "simple": _each("simple"),
    "extended_text": _each("extended") + _with_parameters("extended", binary=False),
    "extended_binary": _each("extended", binary=True) + _with_parameters("extended", binary=True),
    "prepared_text": _each("prepared") + _with_parameters("prepared", binary=False),
    "prepared_binary": _each("prepared", binary=True) + _with_parameters("prepared", binary=True),
    "row_by_row": _each("row_by_row"),
    "pipelined": _pipelines(),
    "scripts_and_copies": _scripts(),
}


def _main(way: str, dsn: str, file: str, neighbour: str = "") -> None:
    says = WAYS[way]
    answers: list[list[Told]] = []
    if neighbour:
        with telling(dsn) as teller, telling(f"{dsn} options='-c timezone=Asia/Kathmandu'") as other:
            for text, say in says:
                print(text[:200], flush=True)  # noqa: T201 - the last one is what a failed test shows
                answers.append(told(teller, say))
                if teller.idle:
                    other.extended("select 'next door', current_setting('timezone')")
    else:
        with telling(dsn) as teller:
            answers.extend(told(teller, say) for _, say in says)
    Path(file).write_bytes(pickle.dumps(answers))


if __name__ == "__main__":
    _main(*sys.argv[1:])
