"""Server: brings a module up, keeps it going, takes it down. The engine itself is started and stopped by its module."""

import asyncio
from dataclasses import dataclass, field, replace

from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.grpc import GrpcServer
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import every
from marchproxy.model.route import Route
from marchproxy.modules.base.api import Control, Parts
from marchproxy.modules.base.api.reports import ModuleReporter
from marchproxy.modules.base.configuration import Configuration, Source
from marchproxy.modules.base.core import Identity, ModuleCore
from marchproxy.modules.base.deployment import Deployment
from marchproxy.modules.base.endpoints import serving
from marchproxy.modules.base.engine import Engine
from marchproxy.modules.base.fleet import NlbFleet, pool_of_nlbs
from marchproxy.modules.base.keeper import Keeper
from marchproxy.modules.base.launcher import Command, ProcessLauncher
from marchproxy.modules.base.leave import go_on_leave
from marchproxy.modules.base.registrar import Registrar
from marchproxy.modules.base.running import Running
from marchproxy.modules.base.sampler import Sampler
from marchproxy.modules.base.settings import ModuleSettings

_log = get_logger(__name__)
_STATE_FILE = "state.json"
_DEPLOYMENT_BEAT = 0.5
_REPLICA_BEAT = 0.5
#: What an NLB takes to send new connections elsewhere.
_LEAVE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a module's desired state comes from, and how its replicas are started (None: they are not).

    `source` reads the state as at the start; it raises SettingsError.
    """

    source: Source
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
        self._keeper = Keeper(settings.kept_state())
        self._told: tuple[Route, ...] = ()
        self._parts = self._assemble(engine)
        self._fleet = self._parts.fleet

    async def run(self) -> None:
        """Run until told to stop, then leave the NLBs, drain, and close.

        Raises Refused when the engine rejects the state it should start with, SettingsError, PortInUse, BindError.
        """
        parts = self._parts
        try:
            await self._configuration.start()
            await go_on_leave(parts)
            self._told = parts.core.desired.routes  # the registration brings these
            parts.core.on_change(self._keeper.keep)
            self._keeper.keep(parts.core.running)  # for when neither we nor our configuration are left
            parts.core.on_change(self._tell_of_routes)
            await parts.sampler.look()
            async with serving(self._settings, parts) as grpc_server:
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

    async def _work(self, parts: Parts, grpc_server: GrpcServer) -> None:
        """The busy part of life; every task of the module ends with it."""
        settings, clock = self._settings, self._clock
        beats = {
            "metrics": (settings.metrics_interval, self._sample),
            "rollouts": (_DEPLOYMENT_BEAT, parts.deployment.advance),
        }
        if parts.launcher is not None:
            beats["replicas"] = (_REPLICA_BEAT, parts.launcher.reap)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(every(interval, work, clock=clock, name=name))
                for name, (interval, work) in beats.items()
            ]
            tasks += [group.create_task(self._keeper.run()), group.create_task(self._configuration.follow())]
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
        self._configuration = Configuration(core, self._origin.source, self._keeper, self._signals.reload)
        sampler = Sampler(engine, clock=clock)
        fleet = NlbFleet(self._pool, engine.module_type, engine.divide)
        parts = Parts(
            core=core,
            sampler=sampler,
            deployment=Deployment(core, sampler, clock=clock),
            control=Control(self._signals.stop, self._configuration.reload, settings.drain_seconds),
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
                on_advice=self._configuration.consider,
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
            keeper.keep(replace(core.running, draining=False))
            keeper.flush()

        return ProcessLauncher(
            self._origin.replica, prepare=leave_state, drain_seconds=settings.drain_seconds
        )
