"""A module for each test."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from marchproxy.contract.pb import module_pb2_grpc
from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.kit.grpc import ChannelPool, GrpcServer, Registration
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import ModuleType
from marchproxy.modules.base.api import Control, ModuleApi, Parts
from marchproxy.modules.base.deployment import Deployment
from marchproxy.modules.base.fleet import NlbFleet
from marchproxy.modules.base.sampler import Sampler
from tests.unit.modules.base.api.rig import Rig
from tests.unit.modules.doubles import EngineDouble, running_core


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    engine, clock, pool = EngineDouble(), VirtualClock(), ChannelPool(clock=SystemClock())
    core = await running_core(engine, clock)
    sampler = Sampler(engine, clock=clock)
    reloads: list[str] = []

    async def reload() -> str:
        reloads.append("reload")
        return "2 routes loaded"

    parts = Parts(
        core=core,
        sampler=sampler,
        deployment=Deployment(core, sampler, clock=clock),
        control=Control(asyncio.Event(), reload, 30.0),
        fleet=NlbFleet(pool, ModuleType.ALB),
        clock=clock,
    )
    services = [Registration(module_pb2_grpc.add_ModuleServiceServicer_to_server, ModuleApi(parts))]
    server = GrpcServer(address=HostPort("127.0.0.1", 0), services=services)
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Rig(module_pb2_grpc.ModuleServiceStub(channel), engine, parts, clock, reloads)
    await server.stop(0)
    await pool.close()
