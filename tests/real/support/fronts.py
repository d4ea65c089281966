"""Modules that are nothing but a registration: they point the NLB at a real server, which takes plain connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.module_pb2_grpc import add_ModuleServiceServicer_to_server
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from tests.nlb_module import Service
from tests.real.nlb_rig import until


@dataclass
class Front:
    """One instance of a module type with one endpoint. Protocols and types are the contract's enum values."""

    name: str
    module_type: int
    protocol: int
    port: int
    service: Service = field(default_factory=Service)

    @asynccontextmanager
    async def registered(self, stub: NLBServiceStub) -> AsyncIterator[None]:
        """Known to the NLB for as long as a heartbeat may be missed; it answers what the NLB asks."""
        server = grpc.aio.server()
        add_ModuleServiceServicer_to_server(self.service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            request = nlb_pb2.RegisterModuleRequest(instance=self._instance(port))
            answer = await stub.RegisterModule(request, timeout=10, wait_for_ready=True)
            assert answer.success, answer
            yield
        finally:
            await server.stop(0)

    def _instance(self, grpc_port: int) -> types_pb2.ModuleInstance:
        endpoint = types_pb2.TrafficEndpoint(
            name="plain", protocol=self.protocol, address=f"127.0.0.1:{self.port}"
        )
        return types_pb2.ModuleInstance(
            instance_id=self.name,
            module_type=self.module_type,
            address=f"127.0.0.1:{grpc_port}",
            version="v1",
            health_status=types_pb2.HEALTH_STATUS_HEALTHY,
            traffic_weight=100,
            traffic_endpoints=[endpoint],
        )


async def takes_traffic(stub: NLBServiceStub, *fronts: Front) -> None:
    """Wait until each of them gets connections of some listener."""

    async def all_of_them() -> bool:
        for front in fronts:
            request = nlb_pb2.GetModuleInfoRequest(instance_id=front.name)
            details = (await stub.GetModuleInfo(request, timeout=20)).details
            if not any(text.startswith("gets connections") for text in details.values()):
                return False
        return True

    await until(all_of_them, seconds=20)
