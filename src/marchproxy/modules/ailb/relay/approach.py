"""Approach: the way of a request to an engine's connection: its body, what is asked, and the connection itself."""

import asyncio
from typing import Protocol

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.relay.link import Link
from marchproxy.modules.ailb.relay.office import Office
from marchproxy.modules.ailb.relay.outgoing import Outgoing, compose, encode, misunderstood
from marchproxy.modules.ailb.relay.side import Question

_NOTHING = Outgoing(b"", "")


class Goal(Protocol):
    """Who is told how it went, at once or later; never, when it was cancelled."""

    def reached(self, link: Link) -> None:
        """`data` is to be sent on it."""

    def unreached(self, failure: Failure) -> None:
        """Nobody is asked."""


class Approach:
    """Of one request. `host`: which endpoint, empty: the egress knows; `data`: what it is asked, until `let_go`."""

    __slots__ = ("_goal", "_office", "_question", "_task", "data", "host", "outgoing")

    def __init__(self, office: Office, goal: Goal, question: Question) -> None:
        self.outgoing = _NOTHING
        self.data = b""
        self.host = ""
        self._office = office
        self._goal = goal
        self._question = question
        self._task: asyncio.Task[None] | None = None

    def begin(self, body: bytes) -> None:
        """Set out. `body`: the client's."""
        if asking.TASK_BODY in self._question.heard.tasks:
            self._task = self._office.spawn(self._fetch())
        else:
            self._compose(body)

    def again(self) -> None:
        """With a connection of its own: the one that had been used before was closed at the moment of the question."""
        self._task = self._office.spawn(self._connect())

    def let_go(self) -> Outgoing:
        """The engine has it: from now on only what was left out is known."""
        found = self.outgoing
        self.data = b""
        self.outgoing = Outgoing(b"", "", left_out=found.left_out)
        return found

    def cancel(self) -> None:
        """Nobody waits for it."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _fetch(self) -> None:
        """The body that a guardrail has put in place of the client's."""
        try:
            body = await self._office.errands.body(self._question.heard.number)
        except OSError:
            failure = Failure(Reason.OVERLOADED, "the gateway cannot get at the request: try again")
            self._goal.unreached(failure)
        else:
            self._compose(body)

    def _compose(self, body: bytes) -> None:
        question, office = self._question, self._office
        heard, way = question.heard, question.way
        most = office.ways.patience(heard.route).default_output
        try:
            outgoing = compose(heard, body, way, created=office.unix(), default_output=most)
        except ValueError:  # no JSON, although the decider has read it
            outgoing = misunderstood()
        if isinstance(outgoing, Failure):
            self._goal.unreached(outgoing)
            return
        self.outgoing = outgoing
        place = way.place(heard.hosts, heard.attempt) if way.places else ""
        self.host = place
        self.data = encode(outgoing, question.head.fields, heard, way, place)
        link = office.links.take(place)
        if link is None:
            self.again()
        else:
            self._goal.reached(link)

    async def _connect(self) -> None:
        try:
            link = await self._office.links.dial(self.host, self._question.way.pool.pool.connect_timeout)
        except OSError:
            self._goal.unreached(Failure(Reason.OVERLOADED, "the engine cannot be reached"))
        else:
            self._goal.reached(link)
