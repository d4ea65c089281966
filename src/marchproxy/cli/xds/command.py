"""`marchproxy xds`: the control plane as a process, until a signal ends it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from envoy.service.discovery.v3 import ads_pb2_grpc
from envoy.service.status.v3 import csds_pb2_grpc
from prometheus_client import CollectorRegistry, Gauge

from marchproxy.cli.failing import failing_clearly, warn
from marchproxy.cli.file import load_file
from marchproxy.cli.leash import ParentGone, end_with
from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.cli.xds.source import (
    FAULTS,
    Signature,
    Source,
    catalogue_of,
    left_out,
    settings_of,
    signature_of,
)
from marchproxy.engines.envoy.xds import AdsServer, Identity, Snapshot, StatusService
from marchproxy.kit import logs, tasks
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import BindError, CallMetrics, GrpcServer, Registration, ServerOptions
from marchproxy.kit.http import HttpEndpoint
from marchproxy.kit.listening import check_free
from marchproxy.kit.metrics import new_registry

_log = logs.get_logger(__name__)
_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 1.0
_OTHER_CALLS = 64  # at once: health, reflection, status


def run_xds(file: Path, leash: int | None = None) -> None:
    """Serve the file over xDS until SIGTERM or SIGINT; SIGHUP, or a change, has it read again. Raises typer.Exit.

    With `leash` it also ends when the process of that id does, which must have started it.
    """
    with failing_clearly(BindError, ParentGone, *FAULTS):
        if leash is not None:
            end_with(leash)
        read = signature_of(file)
        loaded = load_file(file, os.environ)
        for hint in left_out(loaded):
            warn(hint)
        settings = settings_of(loaded)
        logs.configure(level=settings.log_level)
        logs.bind(service="xds")
        plane = _ControlPlane(settings, catalogue_of(loaded), file, read)
        tasks.run(lambda: tasks.run_service(plane.serve, on_reload=plane.reload))


class _ControlPlane:
    def __init__(
        self, settings: XdsSettings, catalogue: Catalogue, file: Path, read: Signature | None
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._ads = AdsServer(max_streams=settings.max_streams, assign=self._assign)
        self._source = Source(file, self._publish, read=read)

    async def reload(self) -> None:
        await self._source.reload()

    def _assign(self, identity: Identity) -> Snapshot | None:
        return self._catalogue.assign(identity)

    def _publish(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._ads.reassign()

    async def serve(self, stop: asyncio.Event) -> None:
        settings, registry = self._settings, new_registry()
        check_free(settings.grpc, "xds.grpc")
        self._count_nodes(registry)
        serving = asyncio.Event()
        async with (
            _operations(settings, registry, lambda: self._ready(serving=serving.is_set())),
            self._telling(),
            self._answering(registry) as port,
            tasks.beside(
                tasks.every(_LOOK_SECONDS, self._source.look, clock=SystemClock(), name="look at the file"),
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
            services=[Registration(ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server, self._ads)],
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
            self._ads.close()  # streams end with OK, and nodes look for the next control plane
            await server.stop(_GRACE_SECONDS)

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        if self._settings.status is None:
            yield
            return
        service = StatusService(self._ads.reports)
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
        return serving, {"serving": serving, "file": self._source.fault or "in force"}

    def _count_nodes(self, registry: CollectorRegistry) -> None:
        connected = Gauge("marchproxy_xds_nodes", "Nodes with an open stream.", registry=registry)
        connected.set_function(lambda: sum(node.connected for node in self._ads.nodes()))
        fault = Gauge(
            "marchproxy_xds_file_refused",
            "1 while the file has errors and an earlier one is in force.",
            registry=registry,
        )
        fault.set_function(lambda: float(bool(self._source.fault)))


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
