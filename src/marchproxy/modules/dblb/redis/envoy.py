"""Envoy beside the workers, for the routes of Redis that it serves; without such a route there is none.

Its listeners and clusters are two files that it watches, each replaced in one step, so that it follows a new plan without a
restart. It outlives a supervisor that crashes, and is taken over by the next one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings, EnvoyStartError, EnvoyState
from marchproxy.engines.envoy.run_directory import Role, RunDirectory
from marchproxy.kit.clock import Clock
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.redis.envoy_plan import groups, listener_of
from marchproxy.modules.dblb.redis.envoy_resources import RedisListener, clusters, listener

_log = get_logger(__name__)
_LISTEN_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
_CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


@dataclass(frozen=True, slots=True)
class RedisEnvoySettings:
    """`folder`: where workers look for its sockets; `home`: that of the instance. `binary` None: it is searched for."""

    node_id: str
    folder: Path
    home: Path
    binary: Path | None = None
    log_level: str = "warning"


class RedisEnvoy:
    """Started with the first plan that needs it, ended with the first that does not."""

    def __init__(self, settings: RedisEnvoySettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._process: EnvoyProcess | None = None
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._written: Sequence[RedisListener] = ()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Plans may be applied within the block, whose end ends Envoy."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                yield
            finally:
                await self.end()

    async def apply(self, plan: DblbPlan) -> None:
        """Serve by this from now on. Raises Refused (UNAVAILABLE) where there can be no Envoy."""
        specs = [listener_of(one, self._settings.folder, plan.upstreams) for one in groups(plan)]
        if not specs:
            if self._process is None and self._left_by_another():
                await self._start()  # takes it over
            await self.end()
            return
        if specs != self._written or self._process is None:
            self._write(specs)
        if self._process is None:
            await self._start()
        await self._until_listening(specs)

    def check(self) -> Mapping[str, str]:
        """By name of a check, `ok` or what is wrong; nothing where no route needs it."""
        if self._process is None:
            return {}
        status = self._process.status()
        usual = status.state in {EnvoyState.RUNNING, EnvoyState.DRAINING}
        return {"redis-envoy": "ok" if usual else status.trouble or f"Envoy is {status.state.value}"}

    async def end(self) -> None:
        """End it; there may be none."""
        process, self._process = self._process, None
        self._written = ()
        if process is not None:
            self._stop.set()
            if self._running is not None:
                await self._running
            await process.stop()

    def _left_by_another(self) -> bool:
        """Whether there may be one of a supervisor before, which crashed."""
        return RunDirectory(self._run_dir).read_record(Role.SERVING) is not None

    @property
    def _run_dir(self) -> Path:
        return self._settings.home / "envoy"

    @property
    def _told_in(self) -> Path:
        return self._settings.home / "redis"

    async def _start(self) -> None:
        settings, group = self._settings, self._group
        assert group is not None  # within `running`
        process = EnvoyProcess(
            EnvoySettings(
                node_id=settings.node_id,
                cluster="dblb-redis",
                admin=HostPort("127.0.0.1", 0),
                run_dir=self._run_dir,
                binary=settings.binary,
                log_level=settings.log_level,
            ),
            bootstrap=self._bootstrap(),
            clock=self._clock,
        )
        try:
            await process.start()
        except (EnvoyMissing, EnvoyStartError) as error:
            raise Refused(RefusalCode.UNAVAILABLE, f"no Envoy for routes of Redis: {error}") from error
        self._process, self._stop = process, asyncio.Event()
        self._running = group.create_task(process.run(self._stop), name="redis-envoy")

    def _write(self, specs: Sequence[RedisListener]) -> None:
        """Clusters first: a listener that names one that is not there is refused."""
        made = {cluster["name"]: cluster for spec in specs for cluster in clusters(spec)}
        try:
            self._told_in.mkdir(parents=True, exist_ok=True)
            self._told_in.chmod(0o700)  # passwords stand there
            write_atomically(self._file("clusters"), _answer(_CLUSTER, list(made.values())))
            write_atomically(self._file("listeners"), _answer(_LISTENER, [listener(spec) for spec in specs]))
        except OSError as error:
            raise Refused(RefusalCode.UNAVAILABLE, f"Envoy cannot be told: {error}") from error
        self._written = specs

    async def _until_listening(self, specs: Sequence[RedisListener]) -> None:
        """Clients that come now are to be served. One that does not listen is logged: its servers may not answer."""
        for spec in specs:
            try:
                async with asyncio.timeout(_LISTEN_SECONDS):
                    while not await _listens(spec.socket):
                        await self._clock.sleep(_POLL_SECONDS)
            except TimeoutError:
                _log.error("Envoy does not listen for a route of Redis", socket=str(spec.socket))

    def _file(self, name: str) -> Path:
        return self._told_in / f"{name}.json"

    def _bootstrap(self) -> bytes:
        def source(name: str) -> dict[str, Any]:
            watched = {"path": str(self._told_in)}
            path = {"path": str(self._file(name)), "watched_directory": watched}
            return {"path_config_source": path, "resource_api_version": "V3"}

        admin = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
        document = {
            "node": {"id": self._settings.node_id, "cluster": "dblb-redis"},
            "admin": admin,
            "dynamic_resources": {"cds_config": source("clusters"), "lds_config": source("listeners")},
        }
        return json.dumps(document, indent=1).encode() + b"\n"


async def _listens(socket: Path) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_unix_connection(socket)
        writer.close()
        return True
    return False


def _answer(kind: str, resources: Sequence[Mapping[str, Any]]) -> bytes:
    document = {"resources": [{"@type": kind, **resource} for resource in resources]}
    return json.dumps(document, indent=1).encode() + b"\n"
