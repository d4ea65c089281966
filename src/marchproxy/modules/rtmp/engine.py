"""The RTMP module's engine: a crew of workers that follow one plan."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from marchproxy.engines.workers.files import read_files
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.metrics import process_usage
from marchproxy.model.choice import PoolChoice
from marchproxy.model.module import HealthStatus, ModuleType, TrafficEndpoint
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import EngineHealth, Isolate
from marchproxy.modules.base.observation import Observation
from marchproxy.modules.rtmp import rules
from marchproxy.modules.rtmp.choices import pool_choices
from marchproxy.modules.rtmp.crew import Counted, Crew, Seen
from marchproxy.modules.rtmp.exposition import render
from marchproxy.modules.rtmp.isolation import without
from marchproxy.modules.rtmp.load import load_of
from marchproxy.modules.rtmp.observing import observe
from marchproxy.modules.rtmp.plan import Files, compile_plan, files_of
from marchproxy.modules.rtmp.reports import judge

_log = get_logger(__name__)
_SCRAPE_SECONDS = 2.0


class RtmpEngine:
    """The data path of an RTMP instance."""

    def __init__(
        self, crew: Crew, endpoints: tuple[TrafficEndpoint, ...], *, bandwidth: int = 0, clock: Clock
    ) -> None:
        """`bandwidth`: kbit/s that may be sent to everybody together; 0: not known."""
        self._crew = crew
        self._endpoints = endpoints
        self._served = frozenset(endpoint.protocol for endpoint in endpoints)
        self._bandwidth = bandwidth
        self._clock = clock
        self._plans = rules.Plans()
        self._counted = Counted()
        self._seen = Seen()
        self._applying = asyncio.Lock()
        self._wanted = DesiredState()
        self._isolated: tuple[Problem, ...] = ()
        self._draining = False

    @property
    def module_type(self) -> ModuleType:
        """RTMP."""
        return ModuleType.RTMP

    def endpoints(self) -> tuple[TrafficEndpoint, ...]:
        """The ports for clients that are open, plain ones and those behind PROXY protocol v2."""
        return self._endpoints

    def faults(self, state: DesiredState) -> Iterable[Problem]:
        """What the module cannot do of a sound state; its files are read by `rehearse` and `apply`."""
        return rules.faults(state)

    async def rehearse(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """What is wrong with the files that the state names."""
        return self._refusable((await _read(state))[1], isolate)

    async def apply(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """Have all workers follow the plan of this state; at a start without routes whose files are of no use.

        What was set aside then stays so while other things change. Raises Refused; all workers then follow the plan before.
        """
        async with self._applying:
            files, problems = await _read(state)
            if refused := self._refusable(problems, isolate):
                raise Refused(RefusalCode.INVALID_ARGUMENT, str(refused[0]), refused)
            await self._crew.apply(without(state, problems) if problems else state, files)
            self._wanted, self._isolated = state, problems
            for problem in problems:
                _log.error("set aside", path=problem.path, reason=problem.message)
            return problems

    def _refusable(self, problems: Sequence[Problem], isolate: Isolate) -> Sequence[Problem]:
        """Those for which a state is refused; at another place in the document a problem is the same one."""
        if isolate is not Isolate.NOTHING:
            return () if isolate is Isolate.FAULTY else problems
        known = {problem.message for problem in self._isolated}
        return tuple(problem for problem in problems if problem.message not in known)

    @property
    def instances(self) -> int:
        """As an NLB said last."""
        return self._crew.instances

    def divide(self, instances: int) -> None:
        """Grant one of so many shares of each shared limit."""
        self._crew.divide(instances)

    def can_handle(self, state: DesiredState, route: Route, context: Mapping[str, str]) -> Verdict:
        """Whether one of the routes takes such a stream, and which, and whether there is bandwidth left for it."""
        load = load_of(self._seen.streams, self._bandwidth)
        return rules.answer(self._plans.of(state), self._served, route, context, load)

    async def choices(
        self,
        state: DesiredState,
        route_id: RouteId,
        request: Route,
        context: Mapping[str, str],
    ) -> Sequence[PoolChoice]:
        """The pools of the route for that stream, with their origins as they are seen now."""
        own = self._plans.of(state).routes
        plan = next((plan for plan in own if plan.route_id == route_id), None)
        if plan is None:
            return ()
        return pool_choices(plan, rules.who_of(request, context).key, await self._crew.look())

    def health(self) -> EngineHealth:
        """The workers and files, and the origins as they were at the last look."""
        return self._judge()

    async def check(self) -> EngineHealth:
        """Ask every origin for a handshake."""
        try:
            self._seen = await self._crew.look(ask=True)
        except Refused as refused:
            return EngineHealth(HealthStatus.UNHEALTHY, refused.message, dict(self._crew.health()))
        return self._judge()

    async def observe(self) -> Observation:
        """Ask the workers for their counts. Raises Refused (UNAVAILABLE)."""
        await self._take_back()
        await self._look()
        seen = observe(self._counted, self._seen)
        own_cpu, own_memory = process_usage()
        return replace(seen, cpu_percent=seen.cpu_percent + own_cpu, memory_mb=seen.memory_mb + own_memory)

    async def exposition(self) -> bytes:
        """What the workers count; see docs/metrics.md. As of the last look, where they do not answer in time."""
        with suppress(Refused, TimeoutError):
            async with asyncio.timeout(_SCRAPE_SECONDS):
                await self._look()
        return render(self._counted, self._seen)

    async def renew(self, finish_seconds: float | None) -> str:
        """Replace all workers, one by one."""
        return await self._crew.renew(finish_seconds)

    async def drain(self, deadline: float) -> int:
        """Listen no more, tell clients to come again, and wait."""
        self._draining = True
        return await self._crew.drain(deadline)

    async def _look(self) -> None:
        self._counted = await self._crew.count()
        self._seen = await self._crew.look()

    def _judge(self) -> EngineHealth:
        if self._draining:
            return EngineHealth(HealthStatus.STOPPING, "draining", {"workers": "draining"})
        found = judge(self._crew.health(), self._seen.origins)
        for problem in self._isolated:
            found = found.but(problem.path, f"set aside: {problem}")
        return found

    async def _take_back(self) -> None:
        """Serve what was set aside as soon as its files are of use; without them nothing changes."""
        if not self._isolated or self._applying.locked():
            return
        if (await _read(self._wanted))[1] != self._isolated:
            try:
                await self.apply(self._wanted, Isolate.FAULTY)
            except Refused as refused:
                _log.error("what was set aside stays so", reason=refused.message)


async def _read(state: DesiredState) -> tuple[Files, tuple[Problem, ...]]:
    """The contents of the files that the state names, and what is wrong with them."""
    files = await asyncio.to_thread(read_files, sorted(files_of(state)))
    return files, compile_plan(state, files)[1]
