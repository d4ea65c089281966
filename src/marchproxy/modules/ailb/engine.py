"""The AILB's engine: an HTTP gateway, and the decider that it asks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from marchproxy.kit.logs import get_logger
from marchproxy.model.choice import PoolChoice
from marchproxy.model.module import ModuleType, PoolName, TrafficEndpoint
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb import rules
from marchproxy.modules.ailb.exposition import render
from marchproxy.modules.ailb.load.gpus import GpuWatch
from marchproxy.modules.ailb.plan import unpriced
from marchproxy.modules.ailb.supervisor.crew import Crew
from marchproxy.modules.ailb.supervisor.probing import Probe
from marchproxy.modules.ailb.totals import Totals
from marchproxy.modules.base.engine import EngineHealth, Isolate
from marchproxy.modules.base.observation import Observation
from marchproxy.modules.http.engine import HttpEngine

#: Asks pools whether they answer.
Probing: TypeAlias = Callable[[Iterable[BackendPool]], Awaitable[Mapping[PoolName, Probe]]]

_log = get_logger(__name__)


class AilbEngine:
    """The data path of an AILB instance. What is not said here is the gateway's."""

    def __init__(self, gateway: HttpEngine, crew: Crew, gpus: GpuWatch, probe: Probing) -> None:
        self._gateway = gateway
        self._crew = crew
        self._gpus = gpus
        self._probe = probe
        self._applying = asyncio.Lock()
        self._applied = DesiredState()
        self._plans = rules.Plans()
        self._unsound: Mapping[PoolName, str] = {}
        self._unfit: Mapping[str, str] = {}
        self._unpriced: Sequence[str] = ()
        self._totals = Totals()
        crew.divide(gateway.instances)

    @property
    def module_type(self) -> ModuleType:
        """An AILB."""
        return ModuleType.AILB

    def endpoints(self) -> tuple[TrafficEndpoint, ...]:
        """The gateway's."""
        return self._gateway.endpoints()

    def faults(self, state: DesiredState) -> Iterable[Problem]:
        """What the gateway cannot do of a sound state."""
        return self._gateway.faults(state)

    def warnings(self, state: DesiredState) -> Iterable[Problem]:
        """Models that cost nothing, where others have prices."""
        for route, model, words in unpriced(state, self._plans.of(state)):
            yield Problem(f"routes[{route}].ai.models[{model}].name", words)

    async def rehearse(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """What the gateway would refuse."""
        return await self._gateway.rehearse(state, isolate)

    async def apply(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """Have both go by `state`, or none: Refused.

        First Envoy has all pools, the old ones and the new; then the decider names the new ones; then no route or pool is
        left that is not in `state`. So no attempt meets a pool that is not there.
        """
        async with self._applying:
            before = self._applied
            wider = rules.with_all_pools(before, state)
            if wider != before:
                await self._gateway.apply(wider, isolate)
            try:
                await self._crew.apply(state)
                problems = await self._gateway.apply(state, isolate)
                if problems:
                    await self._crew.apply(self._gateway.served(state))
            except Refused:
                await self._take_back(before, wider)
                raise
            self._note_unpriced(tuple(map(str, self.warnings(state))))
            self._applied = state
            return problems

    async def _take_back(self, before: DesiredState, wider: DesiredState) -> None:
        with suppress(Refused):
            await self._crew.apply(before)
        if wider != before:
            try:
                await self._gateway.apply(before, Isolate.FAULTY)
            except Refused as refused:
                _log.error("pools of a change that was refused are left in Envoy", reason=refused.message)

    @property
    def instances(self) -> int:
        """As an NLB said last."""
        return self._gateway.instances

    def divide(self, instances: int) -> None:
        """Grant one of so many shares of each shared limit, those on tokens and money included."""
        self._gateway.divide(instances)
        self._crew.divide(instances)

    def can_handle(self, state: DesiredState, route: Route, context: Mapping[str, str]) -> Verdict:
        """As the gateway says; of a `model` in the context also whether it is known, and an endpoint has it that may be asked."""
        verdict = self._gateway.can_handle(state, route, context)
        return rules.with_model(verdict, self._plans.of(state), context, self._unsound)

    async def choices(
        self, state: DesiredState, route_id: RouteId, request: Route, context: Mapping[str, str]
    ) -> Sequence[PoolChoice]:
        """The pools that would be asked first for the `model` in the context, or for the route's first one."""
        asked = rules.as_forwarding(state, route_id, context.get("model", ""))
        return rules.as_decided(await self._gateway.choices(asked, route_id, request, context), state)

    def health(self) -> EngineHealth:
        """The gateway's and the decider's."""
        return self._judge(self._gateway.health())

    async def check(self) -> EngineHealth:
        """The same, having asked Envoy, and each pool through it."""
        health = self._judge(await self._gateway.check())
        for name, found in (await self._probe(self._applied.pools)).items():
            check = f"pool:{name}"
            known = health.checks.get(check)
            words = f"{known}; {found.words}" if known else found.words
            if not found.answered:
                health = health.but(check, f"pool {name}: {found.words}")
            health = replace(health, checks={**health.checks, check: words})
        return health

    async def observe(self) -> Observation:
        """Ask Envoy and the decider, and tell the decider where endpoints are, and which are not well. Raises Refused
        (UNAVAILABLE)."""
        seen = await self._gateway.observe()
        self._note_unfit(self._gpus.unfit(rules.addresses(seen)))
        await self._crew.move(rules.moved(self._applied, seen, self._unfit))
        _, counts = await self._crew.count()
        self._unsound = rules.unsound(seen, counts.endpoints, self._unfit)
        return replace(
            seen,
            pools=rules.attempted(seen.pools, counts.attempts),
            cpu_percent=seen.cpu_percent + counts.cpu_percent,
            memory_mb=seen.memory_mb + counts.memory_mb,
        )

    async def exposition(self) -> bytes:
        """What Envoy counts, and what the decider does."""
        pid, counts = await self._crew.count()
        self._totals.note(pid, counts.entries)
        providers = {
            str(pool.name): pool.ai.provider.value for pool in self._applied.pools if pool.ai is not None
        }
        own = render(self._totals.tallies(), counts, providers, self._gpus.known)
        return await self._gateway.exposition() + own

    async def renew(self, finish_seconds: float | None) -> str:
        """Restart Envoy hot."""
        return await self._gateway.renew(finish_seconds)

    async def part(self, *, on: bool) -> None:
        """As the gateway does."""
        await self._gateway.part(on=on)

    async def drain(self, deadline: float) -> int:
        """The gateway's: what has been let pass ends, and is reported."""
        return await self._gateway.drain(deadline)

    def _note_unpriced(self, models: Sequence[str]) -> None:
        if models and models != self._unpriced:
            _log.warning("models cost nothing", models=models)
        self._unpriced = models

    def _note_unfit(self, unfit: Mapping[str, str]) -> None:
        for address in {**self._unfit, **unfit}:
            if (reason := unfit.get(address)) != self._unfit.get(address):
                _log.warning("GPUs of an endpoint", address=address, fault=reason or "none")
        self._unfit = unfit

    def _judge(self, health: EngineHealth) -> EngineHealth:
        for name, words in self._crew.health().items():
            if words != "ok":
                health = health.but(name, f"{name}: {words}")
            else:
                health = replace(health, checks={**health.checks, name: words})
        if self._unfit:
            return health.but("gpus", "not asked: " + "; ".join(map(": ".join, self._unfit.items())))
        words = self._gpus.trouble
        return replace(health, checks={**health.checks, "gpus": f"none seen: {words}" if words else "ok"})
