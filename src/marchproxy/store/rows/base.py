"""What all rows share: the database they are in, and what a rule of it that was broken means."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, or_
from sqlalchemy.exc import IntegrityError

from marchproxy.kit.clock import Clock
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.store.database import Database
from marchproxy.store.sealing import Sealer
from marchproxy.store.settings import StoreSettings


class Rows:
    """Base of the parts of a store."""

    def __init__(self, database: Database, sealer: Sealer, settings: StoreSettings, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._settings = settings
        self._clock = clock


@contextmanager
def refusing(code: RefusalCode, message: str) -> Iterator[None]:
    """A rule of the database that is broken in the block is this refusal."""
    try:
        yield
    except IntegrityError:
        raise Refused(code, message) from None


def found(result: CursorResult[Any], what: str) -> None:
    """Refuse what was to be changed and is not there."""
    if result.rowcount == 0:
        raise Refused(RefusalCode.NOT_FOUND, f"{what} does not exist")


def named(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """The whole of a dotted name, or what stands before its dot."""
    return or_(column == name, column.startswith(f"{name}.", autoescape=True))
