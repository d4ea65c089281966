"""Switcher: where a new state names another pool for the writes of a route, they are switched before it holds."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from marchproxy.engines.workers.files import read_files
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import Protocol
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.crew import Crew
from marchproxy.modules.dblb.plan import DblbPlan, Files, RoutePlan, compile_plan, files_of
from marchproxy.modules.dblb.switching.following import Followers, Following, NotKnown
from marchproxy.modules.dblb.switching.mysql import GtidReplication
from marchproxy.modules.dblb.switching.postgres import LogicalReplication
from marchproxy.modules.dblb.switching.steps import (
    BehindSeen,
    BusySeen,
    Carried,
    Command,
    Event,
    Failed,
    Marked,
    Refuse,
    Stage,
    Switch,
    begin,
    step,
)

_log = get_logger(__name__)
_POLL_SECONDS = 0.01
#: Beyond its deadline, workers stay paused for so long until they go on by themselves: for a supervisor that was killed.
_MARGIN_SECONDS = 2.0
#: Beyond its deadline, an answer is waited for so long: then it counts as late, and what it says can be told.
_SPARE_SECONDS = 1.0
FOLLOWERS: Followers = {Protocol.POSTGRES: LogicalReplication, Protocol.MYSQL: GtidReplication}


@dataclass(frozen=True, slots=True)
class Move:
    """A route whose writes are to go elsewhere, in the plan before and in the one to come."""

    before: RoutePlan
    after: RoutePlan

    @property
    def words(self) -> str:
        """Which, from where, and to where."""
        old, new = self.before.options.writes, self.after.options.writes
        return f"the writes of route {self.after.route_id} stay on {old} and do not move to {new}"

    def path_in(self, state: DesiredState) -> str:
        """Where the document says so."""
        index = [route.route_id for route in state.routes].index(self.after.route_id)
        return f"routes[{index}].database.writes"


def moves(before: DblbPlan, after: DblbPlan) -> tuple[Move, ...]:
    """The routes that write to a pool, and are to write to another one."""
    known = {(protocol, route.route_id): route for protocol, of in before.routes.items() for route in of}
    pairs = (
        (known.get((protocol, route.route_id)), route)
        for protocol, of in after.routes.items()
        for route in of
    )
    return tuple(
        Move(old, new)
        for old, new in pairs
        if old is not None
        and old.writes is not None
        and new.writes is not None
        and old.writes.name != new.writes.name
    )


def staying(state: DesiredState, found: Sequence[Move]) -> DesiredState | None:
    """The state with the writes of these routes where they were; None: such a pool is not the route's any more."""
    routes = {route.route_id: route for route in state.routes}
    for move in found:
        route, writes = routes[move.after.route_id], move.before.options.writes
        if writes not in {ref.pool for ref in route.backends}:
            return None
        routes[route.route_id] = replace(route, database=replace(move.after.options, writes=writes))
    return replace(state, routes=tuple(routes.values()))


class Switcher:
    """Has a crew follow new states, and moves writes on the way."""

    def __init__(self, crew: Crew, followers: Followers = FOLLOWERS, *, clock: Clock) -> None:
        self._crew = crew
        self._followers = followers
        self._clock = clock
        self._before: DblbPlan | None = None

    async def apply(self, state: DesiredState, files: Files, *, stay: bool = False) -> Sequence[Problem]:
        """As a Crew's; where writes move, once the new pool has all of the old one's.

        Raises Refused: UNAVAILABLE with what was waited for when they do not move; all is as before then. With `stay` the
        rest of the state holds instead, and that is what is returned.
        """
        after, _ = compile_plan(state, files)
        before, self._before = await self._known(after), None  # who is interrupted asks the workers again
        found = moves(before, after)
        try:
            problems = await self._switch(found, state, files) if found else ()
            if problems:
                kept = staying(state, found) if stay else None
                if kept is None:
                    raise Refused(RefusalCode.UNAVAILABLE, problems[0].message, problems)
                state = kept
            if problems or not found:
                await self._crew.apply(state, files)
        except Refused:
            self._before = before
            raise
        self._before = compile_plan(state, files)[0]
        return problems

    async def _known(self, after: DblbPlan) -> DblbPlan:
        """The plan that is served, after a restart by workers that were there before."""
        if self._before is not None:
            return self._before
        served = [(state, read_files(files_of(state))) for state in await self._crew.serving()]
        plans = [compile_plan(state, files)[0] for state, files in served]
        for plan in plans:
            if not moves(plan, after):
                return plan  # where one has the new plan already, all are paused, and the new pool has everything
        if not served:
            return DblbPlan()
        await self._crew.apply(*served[0])
        return plans[0]

    async def _switch(self, found: Sequence[Move], state: DesiredState, files: Files) -> tuple[Problem, ...]:
        """Why writes have not moved; nothing: they have, and the state holds."""
        followed = [one for move in found for one in self._followed(move)]
        switching = _Switching(self._crew, self._clock, found, followed)
        try:
            reason = await switching.run(state, files)
        except asyncio.CancelledError:
            await self._crew.resume()
            raise
        finally:
            for one in followed:
                one.close()
        if reason:
            _log.error("writes were not switched", reason=reason, moves=[move.words for move in found])
            return tuple(Problem(move.path_in(state), f"{move.words}: {reason}") for move in found)
        _log.info("writes were switched", routes=[str(move.after.route_id) for move in found])
        return ()

    def _followed(self, move: Move) -> Iterator[Following]:
        if move.before.writes is not None and move.after.writes is not None:
            yield self._followers[move.after.route.protocol](move.before.writes, move.after.writes)


class _Switching:
    """One switch: what `steps` commands, carried out."""

    def __init__(
        self, crew: Crew, clock: Clock, found: Sequence[Move], followed: Sequence[Following]
    ) -> None:
        self._crew = crew
        self._clock = clock
        self._routes = [move.after.route_id for move in found]
        self._timeout = min(move.after.options.switch_timeout for move in found)
        self._followed = followed

    async def run(self, state: DesiredState, files: Files) -> str:
        """Why it was not done; empty: it was."""
        switch, commands = begin(self._clock.monotonic(), self._timeout)
        while True:
            event: Event = Carried()
            for command in commands:
                if isinstance(command, Refuse):
                    return command.reason
                event = await self._try(command, switch, state, files)
            if switch.stage is Stage.DONE:
                return ""
            switch, commands = step(switch, event, self._clock.monotonic())
            _log.debug("switching", stage=switch.stage.name)

    async def _try(self, command: Command, switch: Switch, state: DesiredState, files: Files) -> Event:
        if command is Command.RESUME:
            await self._crew.resume()
            return Carried()
        left = max(switch.deadline - self._clock.monotonic(), 0.0) + _SPARE_SECONDS
        try:
            async with asyncio.timeout(None if command is Command.APPLY else left):
                return await self._carry(command, switch, state, files)
        except TimeoutError:
            return Failed(
                f"nobody answered within {switch.timeout:g} s while waiting to hear {switch.stage.value}"
            )
        except NotKnown as fault:
            return Failed(str(fault))
        except Refused as refused:
            return Failed(refused.message)

    async def _carry(self, command: Command, switch: Switch, state: DesiredState, files: Files) -> Event:
        match command:
            case Command.ASK:
                for one in self._followed:
                    await one.check()
            case Command.PAUSE:
                await self._crew.pause(self._routes, switch.timeout + _MARGIN_SECONDS)
            case Command.COUNT:
                await self._clock.sleep(_POLL_SECONDS)
                return BusySeen(sum([await self._crew.busy(route) for route in self._routes]))
            case Command.MARK:
                return Marked("\n".join([await one.mark() for one in self._followed]))
            case Command.COMPARE:
                await self._clock.sleep(_POLL_SECONDS)
                marks = zip(self._followed, switch.mark.split("\n"), strict=True)
                return BehindSeen("; ".join(filter(None, [await one.behind(mark) for one, mark in marks])))
            case Command.HOLD:
                await self._crew.pause(self._routes, 0)
            case Command.APPLY:
                await self._crew.apply(state, files)
            case _:
                raise AssertionError(command)
        return Carried()
