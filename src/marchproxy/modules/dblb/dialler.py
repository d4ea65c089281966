"""Dialler: opens connections to a server that are logged in, each within a deadline, and more slowly while that fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
L = TypeVar("L")


class DialFailed(Exception):
    """There is no link; `cause` is what was raised."""

    def __init__(self, words: str, cause: Exception) -> None:
        super().__init__(words)
        self.cause = cause


class Dialler(Generic[L]):
    """Opens links with `dial`, which may raise `faults` and OSError, within `seconds`; `pauses` come between failures."""

    def __init__(
        self,
        name: str,
        dial: Callable[[], Awaitable[L]],
        clock: Clock,
        *,
        seconds: float,
        faults: tuple[type[Exception], ...],
        pauses: Backoff,
    ) -> None:
        self.failure = ""
        """Why the last attempt failed; empty when it did not."""
        self._name = name
        self._dial = dial
        self._seconds = seconds
        self._faults: tuple[type[Exception], ...] = (*faults, OSError, TimeoutError)
        self._clock = clock
        self._failures = 0
        self._pauses = pauses

    async def open(self) -> L:
        """A link. Raises DialFailed."""
        try:
            if self._failures:
                await self._clock.sleep(self._pauses.delay(self._failures - 1, 0.5))
            async with asyncio.timeout(self._seconds):
                link = await self._dial()
        except self._faults as error:
            self._failures += 1
            self.failure = str(error) or f"no answer within {self._seconds:g} s"
            _log.warning(
                "no connection to the server", pool=self._name, reason=self.failure, failures=self._failures
            )
            raise DialFailed(self.failure, error) from error
        self._failures, self.failure = 0, ""
        return link
