"""Database: transactions with a deadline, locks and news; what SQLite and PostgreSQL do each in their own way."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from marchproxy.store.errors import StoreUnavailable
from marchproxy.store.topics import Topics

T = TypeVar("T")


class Database(ABC):
    """One database. `name` is how people know it, without a password; `seconds` is what one transaction may take."""

    #: What its driver raises when it fails.
    failures: tuple[type[Exception], ...] = (DBAPIError, OSError)
    #: What to do when it takes too long.
    if_slow = "see whether it runs, and try again"

    def __init__(self, engine: AsyncEngine, name: str, seconds: float) -> None:
        self.engine = engine
        self.name = name
        self.topics = Topics()
        self._seconds = seconds

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes nothing."""
        async with self._asked(), self.engine.connect() as connection:
            yield connection

    @abstractmethod
    def writing(self, *topics: str) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that is durable when the block has ended; those who wait for the topics are told."""

    @abstractmethod
    def exclusive(self, within: float) -> AbstractAsyncContextManager[asyncio.Event]:
        """As `Store.exclusive`."""

    @abstractmethod
    def leadership(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """As `Store.leadership`."""

    @abstractmethod
    async def prepare(self, migrate: Callable[[Connection], T]) -> T:
        """Run what makes or changes tables in one transaction of its own, while nobody else does, and commit it."""

    @abstractmethod
    async def run(self) -> None:
        """What goes on beside, until cancelled."""

    @abstractmethod
    def unavailable(self, error: Exception) -> StoreUnavailable | None:
        """What a failure means, and what to do about it; None: a fault of ours."""

    @asynccontextmanager
    async def _asked(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Within the deadline; failures of the database are told as such."""
        try:
            async with asyncio.timeout(seconds or self._seconds):
                yield
        except IntegrityError:
            raise  # whoever made the statement knows which rule it broke
        except NoConnectionFree as error:
            raise StoreUnavailable(f"{self.name}: all connections are busy; try again") from error
        except TimeoutError as error:
            raise StoreUnavailable(
                f"{self.name} did not answer within {seconds or self._seconds:g} s; {self.if_slow}"
            ) from error
        except self.failures as error:
            meaning = self.unavailable(error)
            if meaning is None:
                raise
            raise meaning from error
