"""The kernel data plane: nftables forwards, this process only sets the rules.

Rules outlive an NLB that crashes; the next one replaces them in one transaction. Only a drain takes them away. One NLB of
a network namespace can have the kernel: it holds an abstract Unix socket, which the kernel frees when the process ends.

Once a second the endpoints are knocked at; one where nobody answers gets no new connections (`pulse`).
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from marchproxy.engines.nftables import (
    EndpointId,
    Frontend,
    NftablesEngine,
    NftablesError,
    NftablesRefused,
    NftablesSettings,
    Plan,
    Protocol,
)
from marchproxy.engines.nftables.engine import MAX_STALE_PAIRS
from marchproxy.engines.nftables.expressions import Family
from marchproxy.engines.nftables.host import Host
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort
from marchproxy.kit.tasks import beside, every
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Target
from marchproxy.model.problem import Problem
from marchproxy.nlb.dataplane.choosing import Ground
from marchproxy.nlb.dataplane.kernel.counts import traffic_counts
from marchproxy.nlb.dataplane.kernel.frontends import Kernel, build_kernel
from marchproxy.nlb.dataplane.kernel.ownership import lock_kernel, mark_of
from marchproxy.nlb.dataplane.kernel.probe import knock
from marchproxy.nlb.dataplane.kernel.pulse import Pulses, feel, left_out, places_of, without_dead
from marchproxy.nlb.dataplane.names import resolve
from marchproxy.nlb.dataplane.plane import (
    Choice,
    Forwarding,
    PlaneRefused,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.settings import NlbSettings

_log = get_logger(__name__)
_POLL_SECONDS = 0.25
_KNOCK_SECONDS = 1.0
_KNOCKS_A_ROUND = 250
"""More endpoints than these are knocked at every second, third, … time: connecting costs this process."""
_DOUBT_SECONDS = 0.25
"""An endpoint that did not answer is asked again so soon."""
_ALL = {4: Family.IP, 6: Family.IP6}


class KernelDataPlane:
    """Forwards TCP and UDP by DNAT. `probe` first; use it inside `running`."""

    name = "kernel"

    def __init__(self, settings: NlbSettings, *, clock: Clock) -> None:
        tools = NftablesSettings(flows_max_age=1.0)
        self.obstacle = "it has not been tried"
        self._keep_source = settings.kernel.keep_source
        self._engine = NftablesEngine(tools, clock=clock)
        self._host = Host(tools)
        self._clock = clock
        self._mark = mark_of(settings.directory())
        self._lock: socket.socket | None = None
        self._forwarding = Forwarding()
        self._carried = Kernel()
        self._pulses = Pulses()
        self._silent: frozenset[EndpointId] = frozenset()
        self._reconciled: tuple[Frontend, ...] = ()
        self._rounds = 0
        self._changing = asyncio.Lock()

    async def probe(self) -> str:
        """Why the kernel cannot be used here, or empty; also kept as `obstacle`."""
        try:
            self.obstacle = await self._engine.available() or ""
        except NftablesError as error:
            self.obstacle = str(error)
        if self.obstacle:
            _log.info("kernel data plane is not available; auto means envoy", reason=self.obstacle)
        return self.obstacle

    @asynccontextmanager
    async def running(self) -> AsyncIterator["KernelDataPlane"]:
        """Be the one NLB that may use the kernel, from the first need on, until the end. Rules stay."""
        care = every(_KNOCK_SECONDS, self._take_care, clock=self._clock, name="kernel endpoints")
        try:
            async with beside(care, name="kernel endpoints"):
                yield self
        finally:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def claim(self) -> str:
        """Become the one that sets rules; why that cannot be, or empty."""
        if self._lock is None and not self.obstacle:
            self._lock = lock_kernel()
            if self._lock is None:
                return "another NLB of this host (network namespace) uses the kernel's rules"
        return self.obstacle

    async def survey(self, forwarding: Forwarding) -> Ground:
        """What the plan would stand on now, and what is carried stands on. Raises PlaneUnavailable."""
        if self.obstacle:
            return Ground(self.obstacle)
        with _told():
            own = await self._host.own_addresses()
            forwards = frozenset([v for v, family in _ALL.items() if await self._host.forwards(family)])
        addresses = await resolve(_hosts(forwarding) | _hosts(self._forwarding))
        return Ground("", own, forwards, self._keep_source, addresses)

    def check(self, listeners: Sequence[Listener]) -> tuple[Problem, ...]:
        """Listeners that need the kernel where it cannot be used."""
        return tuple(
            Problem(f"listeners[{index}].data_plane", f"the kernel cannot be used: {self.obstacle}")
            for index, listener in enumerate(listeners)
            if listener.kernel_only and self.obstacle
        )

    async def apply(self, forwarding: Forwarding, ground: Ground | None = None) -> None:
        """Put the rules in force as one transaction. Raises PlaneRefused, PlaneUnavailable."""
        if not forwarding.plan.listeners and not self.present():
            return
        if obstacle := self.claim():
            if forwarding.plan.listeners:
                raise PlaneRefused(f"the kernel cannot be used: {obstacle}")
            _log.warning("rules of an earlier run stay in the kernel", reason=obstacle)
            return
        wanted = build_kernel(forwarding, ground or await self.survey(forwarding))
        for instance in wanted.left_out:
            _log.warning("instance is out of the kernel's reach", instance=instance)
        async with self._changing:
            with _told():
                self._mark.parent.mkdir(parents=True, exist_ok=True)
                self._mark.touch()  # before the rules: whoever finds rules must know that they are ours
                await self._engine.apply(without_dead(wanted.plan, self._pulses.dead))
            self._forwarding, self._carried = forwarding, wanted
            self._silent = left_out(wanted.plan, self._pulses.dead)
            if _over_udp(wanted.plan) != self._reconciled:
                # once more with the next care: packets under way may have followed the old rules
                await self._forget_stale()

    def present(self) -> bool:
        """Whether rules of ours are in the kernel, or may be."""
        return self._mark.exists()

    def choices(self) -> Mapping[str, Choice]:
        """Everything it was given."""
        names = [plan.listener.name for plan in self._forwarding.plan.listeners]
        return {name: Choice(DataPlaneKind.KERNEL, "") for name in names}

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:  # noqa: ARG002 - the engine has its own
        """Live flows, at most a second old, and the rules' counters as they are now. Raises PlaneUnavailable."""
        carried = self._carried
        if not carried.plan.frontends:
            return TrafficCounts()
        with _told():
            live = await self._engine.active_connections()
            ever = await self._engine.counters()
        return traffic_counts(carried, live, ever)

    async def shed(self, instance_id: InstanceId, count: int, *, listener: str = "") -> int:  # noqa: ARG002 - the interface's
        """None: the kernel's flows go on by themselves."""
        return 0

    async def health(self) -> Mapping[str, str]:
        """Facts about the rules. Raises PlaneUnavailable when they cannot be read."""
        if not self._carried.plan.frontends:
            return {"kernel": f"not available: {self.obstacle}" if self.obstacle else "unused"}
        with _told():
            await self._engine.counters()
        facts = {"kernel": f"rules of {len(self._carried.plan.frontends)} listeners in force"}
        if self._silent:
            facts["kernel endpoints without answer"] = ", ".join(sorted(map(self._name, self._silent)))
        return facts

    async def drain(self, deadline_seconds: float) -> int:
        """Refuse new connections, wait for open ones, remove the rules; return how many were still open."""
        if not self.present() or self.claim():
            return 0
        async with self._changing:
            try:
                left = await self._run_dry(self._clock.monotonic() + deadline_seconds)
                await self._engine.remove()
            except NftablesError as error:
                _log.error("rules stay in the kernel", reason=str(error))
                return 0
            self._forwarding, self._carried, self._silent = Forwarding(), Kernel(), frozenset()
        self._mark.unlink(missing_ok=True)
        return left

    async def _take_care(self) -> None:
        """Leave out endpoints where nobody answers, and finish what changes left behind."""
        places = places_of(self._carried.plan)
        self._rounds += 1
        if self._rounds % (1 + len(places) // _KNOCKS_A_ROUND) == 0:
            self._pulses = await self._feel(places)
        async with self._changing:
            try:
                await self._leave_out_silent()
                await self._engine.tidy()
            except NftablesError as error:
                _log.warning("the kernel's rules were not brought up to date", reason=str(error))
            if (wanted := _over_udp(self._carried.plan)) != self._reconciled and await self._forget_stale():
                self._reconciled = wanted

    async def _feel(self, places: Collection[HostPort]) -> Pulses:
        answered = await knock(places)
        pulses = feel(self._pulses, answered)
        if not pulses.doubtful:
            return pulses
        await self._clock.sleep(_DOUBT_SECONDS)
        again = await knock([place for place, reached in answered.items() if not reached])
        return feel(pulses, {**answered, **again})

    async def _leave_out_silent(self) -> None:
        plan = self._carried.plan
        silent = left_out(plan, self._pulses.dead)
        if silent == self._silent:
            return
        await self._engine.apply(without_dead(plan, self._pulses.dead))
        for endpoint in silent - self._silent:
            _log.warning("endpoint does not answer; no new connections", endpoint=self._name(endpoint))
        for endpoint in self._silent - silent:
            _log.info("endpoint answers again", endpoint=self._name(endpoint))
        self._silent = silent

    def _name(self, endpoint: EndpointId) -> str:
        instance = self._carried.instances.get(endpoint, "?")
        return f"{endpoint.frontend}: {instance} at {HostPort(endpoint.address, endpoint.port)}"

    async def _run_dry(self, deadline: float) -> int:
        frontends = [
            replace(frontend, backends=tuple(replace(backend, weight=0) for backend in frontend.backends))
            for frontend in self._carried.plan.frontends
        ]
        await self._engine.apply(replace(self._carried.plan, frontends=tuple(frontends)))
        while left := sum((await self._engine.active_connections()).values()):
            if self._clock.monotonic() >= deadline:
                break
            await self._clock.sleep(_POLL_SECONDS)
        return left

    async def _forget_stale(self) -> bool:
        """Let UDP flows of instances that left find others; return whether that was all of them."""
        try:
            return await self._engine.conntrack_reconcile(self._carried.plan) < MAX_STALE_PAIRS
        except NftablesError as error:
            _log.warning("UDP flows of instances that left were not ended", reason=str(error))
            return False


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the engine in the words of the interface."""
    try:
        yield
    except NftablesRefused as error:
        raise PlaneRefused(f"the kernel's rules: {error}") from error
    except (NftablesError, OSError) as error:
        raise PlaneUnavailable(f"the kernel's rules: {error}") from error


def _over_udp(plan: Plan) -> tuple[Frontend, ...]:
    return tuple(frontend for frontend in plan.frontends if frontend.protocol is Protocol.UDP)


def _hosts(forwarding: Forwarding) -> set[str]:
    targets: list[Target] = [
        t for plan in forwarding.plan.listeners for v in plan.versions for t in v.targets
    ]
    targets += [target for parked in forwarding.parked.values() for target in parked]
    return {HostPort.parse(target.plain.address).host for target in targets if target.plain is not None}
