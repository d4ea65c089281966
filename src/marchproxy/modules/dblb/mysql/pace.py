"""Pace: counts what one client asks, and how long that takes."""

from time import monotonic

from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.mysql.flow import Flow


class Pace:
    """Of one session. Commands that are under way together are timed as one, and counted one by one."""

    __slots__ = ("_began", "_errors", "_flow", "_queries", "_tally", "_waits")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._began = 0.0
        self._waits = 0.0
        self._queries = 0
        self._errors = 0
        self._flow: Flow | None = None

    def begin(self) -> None:
        """A command goes to a server."""
        if not self._queries:
            self._began = monotonic()
        self._queries += 1

    def end(self, flow: Flow) -> None:
        """All commands are answered."""
        tally = self._tally
        tally.queries += self._queries
        tally.query_seconds.add(monotonic() - self._began)
        self._queries = 0
        if not flow.transacting:
            tally.transactions += 1
        if flow is not self._flow:
            self._flow, self._errors = flow, 0
        if flow.errors != self._errors:
            tally.errors += flow.errors - self._errors
            self._errors = flow.errors

    def lost(self) -> None:
        """No server answers what is under way, or was about to be."""
        self._tally.unanswered(self._queries or 1)
        self._queries = 0

    def drop(self) -> None:
        """What is under way is asked once more, and not counted twice."""
        self._queries = 0

    def wait(self) -> None:
        """There is no server connection."""
        self._waits = monotonic()

    def got(self) -> None:
        """There is one now."""
        self._tally.wait_seconds.add(monotonic() - self._waits)
