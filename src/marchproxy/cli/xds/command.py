"""`marchproxy xds`: the control plane as a process, until a signal ends it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from envoy.service.discovery.v3 import ads_pb2_grpc
from envoy.service.status.v3 import csds_pb2_grpc
from prometheus_client import CollectorRegistry

from marchproxy.cli.failing import failing_clearly, warn
from marchproxy.cli.leash import ParentGone, end_with
from marchproxy.cli.xds.beginning import Beginning, begin
from marchproxy.cli.xds.counts import Counts
from marchproxy.cli.xds.delivery import Delivery
from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.cli.xds.source import FAULTS, Source
from marchproxy.engines.envoy.binary import EnvoyMissing, find_envoy
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.validation import Validator
from marchproxy.engines.envoy.xds import StatusService
from marchproxy.kit import logs, tasks
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import BindError, CallMetrics, GrpcServer, Registration, ServerOptions
from marchproxy.kit.http import HttpEndpoint
from marchproxy.kit.listening import check_free
from marchproxy.kit.metrics import new_registry
from marchproxy.kit.settings import HostPort
from marchproxy.model.problem import InvalidValue

_log = logs.get_logger(__name__)
_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 1.0
_OTHER_CALLS = 64  # at once: health, reflection, status


def run_xds(file: Path, leash: int | None = None) -> None:
    """Serve the file over xDS until SIGTERM or SIGINT; SIGHUP, or a change, has it read again. Raises typer.Exit.

    With `leash` it also ends when the process of that id does, which must have started it.
    """
    with failing_clearly(BindError, EnvoyMissing, ParentGone, *FAULTS):
        if leash is not None:
            end_with(leash)
        beginning = begin(file)
        for hint in beginning.hints:
            warn(hint)
        logs.configure(level=beginning.settings.log_level)
        logs.bind(service="xds")
        plane = _ControlPlane(beginning, file)
        tasks.run(lambda: tasks.run_service(plane.serve, on_reload=plane.reload))


class _ControlPlane:
    def __init__(self, beginning: Beginning, file: Path) -> None:
        self._settings = beginning.settings
        self._beginning = beginning
        self._registry = new_registry()
        self._counts = Counts(self._registry)
        self._scratch = tempfile.TemporaryDirectory(prefix="marchproxy-xds-")
        self._delivery = Delivery(
            self._settings,
            validator=self._validator(),
            keeper=beginning.keeper,
            counts=self._counts,
            clock=SystemClock(),
        )
        self._source = Source(
            file,
            self._delivery.offer,
            judge=self._delivery.judge,
            read=beginning.read,
            beside=beginning.files,
        )

    def _validator(self) -> Validator | None:
        if not self._settings.validate_changes:
            return None
        binary = find_envoy(self._settings.envoy_binary)
        folder = Path(self._scratch.name)
        spec = BootstrapSpec("validation", "xds", HostPort("127.0.0.1", 0), folder / "ads.sock")
        return Validator(binary, render(spec), folder / "validation")

    async def reload(self) -> None:
        await self._source.reload()

    async def _begin(self) -> None:
        """Have something to give before anybody may ask. Raises InvalidValue when there is nothing."""
        catalogue, kept = self._beginning.catalogue, self._beginning.kept
        if catalogue is not None:
            try:
                await self._delivery.judge(catalogue)
            except InvalidValue as error:
                if kept is None:
                    raise
                self._source.fault = str(error)
            else:
                await self._delivery.deliver(catalogue)
                return
        else:
            self._source.fault = self._beginning.fault
        if kept is not None:
            self._delivery.resume(kept)
            _log.error(
                "the file cannot be used; nodes are given what they were given last",
                reason=self._source.fault,
            )

    async def serve(self, stop: asyncio.Event) -> None:
        settings, registry = self._settings, self._registry
        check_free(settings.grpc, "xds.grpc")
        self._count()
        serving = asyncio.Event()
        with self._scratch:
            await self._begin()
            async with (
                _operations(settings, registry, lambda: self._ready(serving=serving.is_set())),
                self._telling(),
                self._answering(registry) as port,
                tasks.beside(self._delivery.run(), name="delivery"),
                tasks.beside(
                    tasks.every(
                        _LOOK_SECONDS, self._source.look, clock=SystemClock(), name="look at the file"
                    ),
                    name="look at the file",
                ),
            ):
                serving.set()
                _log.info("xDS ready", grpc=port)
                await stop.wait()
                serving.clear()
                _log.info("xDS stopping")

    @asynccontextmanager
    async def _answering(self, registry: CollectorRegistry) -> AsyncIterator[int]:
        server = GrpcServer(
            address=self._settings.grpc,
            services=[
                Registration(
                    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server, self._delivery.ads
                )
            ],
            tls=self._settings.tls,
            options=ServerOptions(max_concurrent_calls=self._settings.max_streams + _OTHER_CALLS),
            metrics=CallMetrics(registry),
            setting="xds.grpc",
        )
        port = await server.start()
        await server.set_serving(True)
        try:
            yield port
        finally:
            self._delivery.ads.close()  # streams end with OK, and nodes look for the next control plane
            await server.stop(_GRACE_SECONDS)

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        if self._settings.status is None:
            yield
            return
        service = StatusService(self._delivery.ads.reports)
        server = GrpcServer(
            address=self._settings.status,
            services=[
                Registration(csds_pb2_grpc.add_ClientStatusDiscoveryServiceServicer_to_server, service)
            ],
            tls=self._settings.tls,
            options=ServerOptions(max_concurrent_calls=_OTHER_CALLS),
            setting="xds.status",
        )
        await server.start()
        await server.set_serving(True)
        try:
            yield
        finally:
            await server.stop(_GRACE_SECONDS)

    def _ready(self, *, serving: bool) -> tuple[bool, Mapping[str, object]]:
        # a file that was spoilt leaves the last good one in force, which is no reason to send nodes elsewhere
        held = dict(self._delivery.faults())
        return serving, {"serving": serving, "file": self._source.fault or "in force", "not_in_force": held}

    def _count(self) -> None:
        ads, gauge = self._delivery.ads, self._counts.gauge
        gauge("nodes", "Nodes with an open stream.", lambda: sum(node.connected for node in ads.nodes()))
        refused = "1 while the file has errors and an earlier one is in force."
        gauge("file_refused", refused, lambda: float(bool(self._source.fault)))
        gauge("quarantined", "Routes and pools that nodes are not given.", self._delivery.held)
        behind = "Cohorts that are not given all of the file, because one of their nodes refused it."
        gauge("cohorts_behind", behind, lambda: len(self._delivery.faults()))


@asynccontextmanager
async def _operations(
    settings: XdsSettings, registry: CollectorRegistry, ready: Callable[[], tuple[bool, Mapping[str, object]]]
) -> AsyncIterator[None]:
    endpoint = HttpEndpoint(settings.metrics, registry=registry, ready=ready, setting="xds.metrics")
    await endpoint.start()
    try:
        yield
    finally:
        await endpoint.stop()
