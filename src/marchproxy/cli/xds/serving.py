"""Serving: the gRPC servers of a control plane, and what it needs beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from envoy.service.discovery.v3 import ads_pb2_grpc
from envoy.service.status.v3 import csds_pb2_grpc
from prometheus_client import CollectorRegistry

from marchproxy.cli.xds.counts import Counts
from marchproxy.cli.xds.delivery import Delivery
from marchproxy.cli.xds.settings import PlaneSettings
from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.validation import Validator
from marchproxy.engines.envoy.xds import AdsServer, StatusService
from marchproxy.kit import tasks
from marchproxy.kit.grpc import CallMetrics, GrpcServer, Registration, ServerOptions
from marchproxy.kit.settings import HostPort

_GRACE_SECONDS = 1.0
_OTHER_CALLS = 64  # at once: health, reflection, status


@asynccontextmanager
async def serving(
    settings: PlaneSettings, delivery: Delivery, registry: CollectorRegistry, *, section: str = "xds"
) -> AsyncIterator[int]:
    """Answer nodes, and tools, while the block runs; yields the port of ADS. `section`: where the settings stand.

    Raises BindError, SettingsError.
    """
    async with (
        _telling(settings, delivery.ads, section),
        _answering(settings, delivery.ads, registry, section) as port,
        tasks.beside(delivery.run(), name="delivery"),
    ):
        yield port


def validator_of(settings: PlaneSettings, folder: Path) -> Validator | None:
    """Who judges documents beforehand; `folder` is his. Raises EnvoyMissing."""
    if not settings.validate_changes:
        return None
    binary = find_envoy(settings.envoy_binary)
    spec = BootstrapSpec("validation", "xds", HostPort("127.0.0.1", 0), folder / "ads.sock")
    return Validator(binary, render(spec), folder / "validation")


def count(counts: Counts, delivery: Delivery) -> None:
    """Have Prometheus told of nodes, and of what they are not given."""
    ads, gauge = delivery.ads, counts.gauge
    gauge("nodes", "Nodes with an open stream.", lambda: sum(node.connected for node in ads.nodes()))
    gauge("quarantined", "Routes and pools that nodes are not given.", delivery.held)
    behind = "Cohorts that are not given all of the document, because one of their nodes refused it."
    gauge("cohorts_behind", behind, lambda: len(delivery.faults()))


@asynccontextmanager
async def _answering(
    settings: PlaneSettings, ads: AdsServer, registry: CollectorRegistry, section: str
) -> AsyncIterator[int]:
    server = GrpcServer(
        address=settings.grpc,
        services=[Registration(ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server, ads)],
        tls=settings.tls,
        options=ServerOptions(max_concurrent_calls=settings.max_streams + _OTHER_CALLS),
        metrics=CallMetrics(registry),
        setting=f"{section}.grpc",
    )
    port = await server.start()
    await server.set_serving(True)
    try:
        yield port
    finally:
        ads.close()  # streams end with OK, and nodes look for the next control plane
        await server.stop(_GRACE_SECONDS)


@asynccontextmanager
async def _telling(settings: PlaneSettings, ads: AdsServer, section: str) -> AsyncIterator[None]:
    if settings.status is None:
        yield
        return
    service = StatusService(ads.reports)
    server = GrpcServer(
        address=settings.status,
        services=[Registration(csds_pb2_grpc.add_ClientStatusDiscoveryServiceServicer_to_server, service)],
        tls=settings.tls,
        options=ServerOptions(max_concurrent_calls=_OTHER_CALLS),
        setting=f"{section}.status",
    )
    await server.start()
    await server.set_serving(True)
    try:
        yield
    finally:
        await server.stop(_GRACE_SECONDS)
