"""An NLB that only remembers what it was told, over real gRPC."""
# ruff: noqa: N802 - gRPC names the methods

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from marchproxy.contract.pb import nlb_pb2, nlb_pb2_grpc, types_pb2


class NlbDouble(nlb_pb2_grpc.NLBServiceServicer):
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.known: set[str] = set()
        self.refuse_registration = False
        self.routes_fail = 0
        self.routes_refused = 0
        self.reload_to = ""
        self.instances = 0
        self.modules: list[types_pb2.ModuleInstance] = []
        self.address = ""
        self._told = asyncio.Condition()

    async def until(self, method: str, times: int = 1) -> Any:
        """Wait until `method` was called so often; return the last request."""

        def calls() -> list[Any]:
            return [request for name, request in self.calls if name == method]

        async with asyncio.timeout(5), self._told:
            await self._told.wait_for(lambda: len(calls()) >= times)
        return calls()[times - 1]

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def _note(self, method: str, request: Any) -> None:
        async with self._told:
            self.calls.append((method, request))
            self._told.notify_all()

    async def RegisterModule(self, request: Any, context: Any) -> nlb_pb2.RegisterModuleResponse:
        await self._note("RegisterModule", request)
        if self.refuse_registration:
            return nlb_pb2.RegisterModuleResponse(success=False, message="no room")
        registration = f"r{len(self.known)}-{len(self.calls)}"
        self.known.add(registration)
        return nlb_pb2.RegisterModuleResponse(
            success=True, registration_id=registration, instances_of_type=self.instances
        )

    async def UnregisterModule(self, request: Any, context: Any) -> nlb_pb2.UnregisterModuleResponse:
        await self._note("UnregisterModule", request)
        return nlb_pb2.UnregisterModuleResponse(success=True)

    async def Heartbeat(self, request: Any, context: Any) -> nlb_pb2.HeartbeatResponse:
        await self._note("Heartbeat", request)
        answer = nlb_pb2.HeartbeatResponse(
            acknowledged=request.registration_id in self.known, instances_of_type=self.instances
        )
        if self.reload_to:
            answer.should_reload = True
            answer.instructions["config_checksum"] = self.reload_to
        return answer

    async def UpdateRouting(self, request: Any, context: Any) -> nlb_pb2.UpdateRoutingResponse:
        await self._note("UpdateRouting", request)
        if self.routes_fail:
            self.routes_fail -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        self.routes_refused, refused = max(0, self.routes_refused - 1), self.routes_refused > 0
        return nlb_pb2.UpdateRoutingResponse(success=not refused)

    async def ListModules(self, request: Any, context: Any) -> nlb_pb2.ListModulesResponse:
        await self._note("ListModules", request)
        return nlb_pb2.ListModulesResponse(modules=self.modules)


@asynccontextmanager
async def serving(nlb: NlbDouble, address: str = "127.0.0.1:0") -> AsyncIterator[NlbDouble]:
    """Serve it at a free port, or at the one it had before."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    nlb_pb2_grpc.add_NLBServiceServicer_to_server(nlb, server)
    nlb.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    await server.start()
    try:
        yield nlb
    finally:
        await server.stop(0)
