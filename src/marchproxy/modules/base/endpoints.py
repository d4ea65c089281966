"""Endpoints: the gRPC and HTTP servers of a module."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marchproxy.contract.pb import module_pb2_grpc
from marchproxy.kit.grpc import CallMetrics, GrpcServer, Registration
from marchproxy.kit.http import HttpEndpoint
from marchproxy.kit.metrics import new_registry
from marchproxy.modules.base.api import ModuleApi, Parts
from marchproxy.modules.base.api.reports import health
from marchproxy.modules.base.exposition import ModuleCollector
from marchproxy.modules.base.settings import ModuleSettings

_GRPC_GRACE = 2.0


@asynccontextmanager
async def serving(settings: ModuleSettings, parts: Parts) -> AsyncIterator[GrpcServer]:
    """Listen for as long as the block runs. Raises PortInUse, BindError, and SettingsError for TLS files."""
    registry = new_registry()
    registry.register(ModuleCollector(parts.sampler, lambda: sum(parts.fleet.connected().values())))
    grpc_server = GrpcServer(
        address=settings.grpc,
        services=[Registration(module_pb2_grpc.add_ModuleServiceServicer_to_server, ModuleApi(parts))],
        tls=settings.tls,
        metrics=CallMetrics(registry),
        setting="grpc",
    )
    addresses = {"health": settings.health, "metrics": settings.metrics}
    pages = [
        HttpEndpoint(
            address,
            registry=registry,
            ready=lambda: readiness(parts),
            suppliers=(parts.core.engine.exposition,),
            setting=name,
        )
        for name, address in addresses.items()
    ]
    try:
        await grpc_server.start()
        await grpc_server.set_serving(True)  # for the service by name as well
        for page in pages:  # who is told that we are ready may call us at once
            await page.start()
        yield grpc_server
    finally:
        await grpc_server.stop(_GRPC_GRACE)
        for page in pages:
            await page.stop()


def readiness(parts: Parts) -> tuple[bool, dict[str, str]]:
    """Ready: takes traffic. Whether an NLB knows us is told, but does not count: a module serves without one."""
    now = health(parts)
    nlbs = {
        f"nlb:{nlb}": "registered" if known else "not registered"
        for nlb, known in parts.fleet.connected().items()
    }
    return now.status.takes_traffic, {"status": now.message, **now.checks, **nlbs}
