"""Halt: where the clients of a route that is paused wait for a link."""

from collections.abc import Mapping

from marchproxy.kit.clock import Clock
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.roles import Waiter


class Halt:
    """A source of links that has none. Who has waited for `seconds` is told so."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._line: Line[Waiter] = Line(seconds, self._late, clock)

    @property
    def reported(self) -> Mapping[str, str]:
        """Nothing: nobody logs in here."""
        return {}

    def at_once(self) -> Link | None:
        """Not as long as it lasts."""
        return None

    def acquire(self, waiter: Waiter) -> Link | None:
        """Not as long as it lasts."""
        self._line.join(waiter)
        return None

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._line.leave(waiter)

    def end(self) -> list[Waiter]:
        """It lasts no longer; those who wait, who came first first."""
        self._line.close()
        return self._line.all()

    def _late(self, waiter: Waiter) -> None:
        waiter.got_none(f"the route is paused; it did not go on within {self._line.seconds:g} s")
