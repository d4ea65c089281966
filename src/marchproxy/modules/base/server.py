"""Server: brings a module up, keeps it going, takes it down. The engine itself is started and stopped by its module."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from marchproxy.contract.document import checksum, encode
from marchproxy.contract.pb import module_pb2_grpc
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.grpc import CallMetrics, GrpcServer, Registration
from marchproxy.kit.http import HttpEndpoint
from marchproxy.kit.logs import get_logger
from marchproxy.kit.metrics import new_registry
from marchproxy.kit.settings import SettingsError
from marchproxy.kit.tasks import every
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.api import Control, ModuleApi, Parts
from marchproxy.modules.base.api.reports import ModuleReporter, health
from marchproxy.modules.base.core import Identity, ModuleCore
from marchproxy.modules.base.deployment import Deployment
from marchproxy.modules.base.engine import Engine
from marchproxy.modules.base.exposition import ModuleCollector
from marchproxy.modules.base.fleet import NlbFleet, pool_of_nlbs
from marchproxy.modules.base.keeper import Keeper
from marchproxy.modules.base.launcher import Command, ProcessLauncher
from marchproxy.modules.base.registrar import Advice, Registrar
from marchproxy.modules.base.running import Running
from marchproxy.modules.base.sampler import Sampler
from marchproxy.modules.base.settings import ModuleSettings

_log = get_logger(__name__)
_STATE_FILE = "state.json"
_DEPLOYMENT_BEAT = 0.5
_GRPC_GRACE = 2.0
#: What an NLB takes to send new connections elsewhere.
_LEAVE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a module's desired state comes from, and how its replicas are started (None: they are not).

    `source` reads the state as at the start; it raises SettingsError.
    """

    source: Callable[[], DesiredState]
    replica: Command | None = None


@dataclass(slots=True)
class Signals:
    """What the process is told from outside."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


class ModuleServer:
    """One module process, around an engine that has been started. Ports in `settings` are real ones, not 0."""

    def __init__(
        self,
        settings: ModuleSettings,
        engine: Engine,
        origin: Origin,
        signals: Signals,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._signals = signals
        self._clock = clock or SystemClock()
        self._pool = pool_of_nlbs(settings.heartbeat_interval, settings.nlb_tls, self._clock)
        self._keeper = Keeper(settings.own_state_dir() / _STATE_FILE)
        self._advised: set[str] = set()
        self._told: tuple[Route, ...] = ()
        self._parts = self._assemble(engine)
        self._fleet = self._parts.fleet

    async def run(self) -> None:
        """Run until told to stop, then leave the NLBs, drain, and close.

        Raises Refused when the engine rejects the state it should start with, SettingsError, PortInUse, BindError.
        """
        parts = self._parts
        try:
            await self._start_state(parts.core)
            self._told = parts.core.desired.routes  # the registration brings these
            parts.core.on_change(self._keeper.keep)
            parts.core.on_change(self._tell_of_routes)
            await parts.sampler.look()
            async with self._endpoints(parts) as grpc_server:
                await self._work(parts, grpc_server)
        finally:
            if parts.launcher is not None:
                await parts.launcher.close()
            await self._pool.close()

    def _tell_of_routes(self, running: Running) -> None:
        """A rollout that notes its progress, or a limit, is no news to the NLBs."""
        if running.desired.routes != self._told:
            self._told = running.desired.routes
            self._fleet.routes_changed()

    async def reload(self) -> str:
        """Read the configuration again and run it; says what came of it. Raises Refused."""
        core = self._parts.core
        state, document = self._read()
        if document == core.running.checksum and not core.running.modified:
            return "the configuration has not changed"
        if problems := core.faults(state):
            raise Refused(RefusalCode.INVALID_ARGUMENT, str(problems[0]), problems)
        await core.load(state, document)
        core.note(Running.from_own)
        _log.info(
            "configuration loaded", checksum=document[:12], routes=len(state.routes), pools=len(state.pools)
        )
        return f"{len(state.routes)} routes, {len(state.pools)} pools, {len(state.rate_limits)} rate limits loaded"

    async def _start_state(self, core: ModuleCore) -> None:
        """What the process before us ran, unless our own configuration has changed since; then that."""
        state, document = self._read()
        kept = self._keeper.load()
        if kept is not None and kept.origin == document and (kept.modified or kept.checksum != document):
            try:
                await core.restore(kept)
            except Refused as refused:
                if refused.code is RefusalCode.UNAVAILABLE:
                    raise
                _log.warning("what an earlier process left cannot run any more", reason=refused.message)
            else:
                _log.info("took up the state that an earlier process left", updated_at=str(kept.updated_at))
                return
        if problems := core.faults(state):
            raise Refused(RefusalCode.INVALID_ARGUMENT, str(problems[0]), problems)
        await core.load(state, document)
        core.note(Running.from_own)

    def _read(self) -> tuple[DesiredState, str]:
        try:
            state = self._origin.source()
        except SettingsError as error:
            problems = [Problem(problem.path, problem.render()) for problem in error.problems]
            raise Refused(RefusalCode.INVALID_ARGUMENT, error.render(), problems) from error
        return state, checksum(encode(state))

    async def _work(self, parts: Parts, grpc_server: GrpcServer) -> None:
        """The busy part of life; every task of the module ends with it."""
        settings, clock = self._settings, self._clock
        beats = {
            "metrics": (settings.metrics_interval, self._sample),
            "rollouts": (_DEPLOYMENT_BEAT, parts.deployment.advance),
        }
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(every(interval, work, clock=clock, name=name))
                for name, (interval, work) in beats.items()
            ]
            tasks += [group.create_task(self._keeper.run()), group.create_task(self._reload_on_signal())]
            registering = group.create_task(self._fleet.run())
            _log.info("serving", endpoints=[e.address for e in parts.core.engine.endpoints()])
            await self._signals.stop.wait()
            parts.control.stopping = True
            await grpc_server.set_serving(False)
            registering.cancel()
            await self._drain(parts)
            for task in tasks:
                task.cancel()

    async def _sample(self) -> None:
        await self._parts.sampler.look()

    async def _drain(self, parts: Parts) -> None:
        """Out of the NLBs' plans, so that nothing new comes; then wait for what is there.

        An NLB answers when our connections have ended, and they end because the engine says goodbye: both at once.
        """
        seconds, started = parts.control.drain_seconds, self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fleet.leave(seconds))
            if seconds:
                await self._clock.sleep(min(_LEAVE_SECONDS, seconds))
            left = await parts.core.engine.drain(seconds) if seconds else 0
        _log.info("drained", connections_left=left, seconds=round(self._clock.monotonic() - started, 1))

    async def _reload_on_signal(self) -> None:
        while True:
            await self._signals.reload.wait()
            self._signals.reload.clear()
            try:
                _log.info("reload", result=await self.reload())
            except Refused as refused:
                _log.error("reload refused; everything stays as it was", reason=refused.message)

    async def _on_advice(self, advice: Advice) -> None:
        """An NLB runs another configuration: look whether ours has changed too, once for each that is asked for.

        Where it has not, there is nothing newer to run, and what was told over gRPC stays.
        """
        running = self._parts.core.running
        if advice.wanted_checksum in self._advised or advice.wanted_checksum == running.checksum:
            return
        self._advised = {advice.wanted_checksum}
        try:
            _, document = self._read()
        except Refused as refused:
            _log.warning("our own configuration cannot be read", reason=refused.message)
            return
        changed = document != running.origin
        _log.info("the NLB runs another configuration", nlb=advice.nlb, ours_has_changed=changed)
        if changed:
            self._signals.reload.set()

    @asynccontextmanager
    async def _endpoints(self, parts: Parts) -> AsyncIterator[GrpcServer]:
        """The gRPC and HTTP servers, listening while the block runs."""
        settings = self._settings
        registry = new_registry()
        registry.register(ModuleCollector(parts.sampler, lambda: sum(self._fleet.connected().values())))
        grpc_server = GrpcServer(
            address=settings.grpc,
            services=[Registration(module_pb2_grpc.add_ModuleServiceServicer_to_server, ModuleApi(parts))],
            tls=settings.tls,
            metrics=CallMetrics(registry),
            setting="grpc",
        )
        addresses = {"health": settings.health, "metrics": settings.metrics}
        https = {
            name: HttpEndpoint(address, registry=registry, ready=self._ready, setting=name)
            for name, address in addresses.items()
        }
        try:
            for endpoint in https.values():
                await endpoint.start()
            await grpc_server.start()
            await grpc_server.set_serving(True)  # for the service by name as well
            yield grpc_server
        finally:
            await grpc_server.stop(_GRPC_GRACE)
            for endpoint in https.values():
                await endpoint.stop()

    def _ready(self) -> tuple[bool, dict[str, str]]:
        """Ready: takes traffic. Whether an NLB knows us is told, but does not count: the ALB serves without one."""
        now = health(self._parts)
        nlbs = {
            f"nlb:{nlb}": "registered" if known else "not registered"
            for nlb, known in self._fleet.connected().items()
        }
        return now.status.takes_traffic, {"status": now.message, **now.checks, **nlbs}

    def _assemble(self, engine: Engine) -> Parts:
        settings, clock = self._settings, self._clock
        identity = Identity(
            instance_id=settings.id,
            version=settings.version,
            address=str(settings.reachable(settings.grpc)),
            started_at=clock.now(),
            max_connections=settings.max_connections,
        )
        core = ModuleCore(identity, engine, clock=clock)
        sampler = Sampler(engine, clock=clock)
        fleet = NlbFleet(self._pool, engine.module_type)
        parts = Parts(
            core=core,
            sampler=sampler,
            deployment=Deployment(core, sampler, clock=clock),
            control=Control(self._signals.stop, self.reload, settings.drain_seconds),
            fleet=fleet,
            clock=clock,
            launcher=self._launcher(core),
        )
        reporter = ModuleReporter(parts, settings.heartbeat_interval)
        fleet.join(
            Registrar(
                str(nlb),
                reporter,
                self._pool,
                clock=clock,
                interval=settings.heartbeat_interval,
                on_advice=self._on_advice,
            )
            for nlb in settings.nlbs
        )
        return parts

    def _launcher(self, core: ModuleCore) -> ProcessLauncher | None:
        if self._origin.replica is None:
            return None
        settings = self._settings

        def leave_state(number: int) -> None:
            """The replica begins with what we run now, not with what the document said once."""
            directory = settings.own_state_dir().with_name(f"{settings.id}.{number}")
            keeper = Keeper(directory / _STATE_FILE)
            keeper.keep(core.running)
            keeper.flush()

        return ProcessLauncher(
            self._origin.replica, prepare=leave_state, drain_seconds=settings.drain_seconds
        )
