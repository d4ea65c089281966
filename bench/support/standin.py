"""Stand-in modules: registered with an NLB, they say yes to the listener of their own name; a web server takes the traffic.

`python -m bench.support.standin NAME=NLB=ADDRESS=TRAFFIC[=proxy] …`: the instance's name, the NLB's gRPC address, the
address that this process is reached at, and that of the web server; `proxy` when that expects PROXY protocol v2.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import grpc
import uvloop

from marchproxy.contract.pb import module_pb2, module_pb2_grpc, nlb_pb2, nlb_pb2_grpc, types_pb2

_BEAT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StandIn:
    """One instance. `host` is the address it is reached at, `traffic` that of the server behind it."""

    name: str
    nlb: str
    host: str
    traffic: str
    proxied: bool

    @classmethod
    def parse(cls, text: str) -> "StandIn":
        name, nlb, host, traffic, *proxied = text.split("=")
        return cls(name, nlb, host, traffic, bool(proxied))

    def argument(self) -> str:
        words = [self.name, self.nlb, self.host, self.traffic, *(["proxy"] * self.proxied)]
        return "=".join(words)


class _Service(module_pb2_grpc.ModuleServiceServicer):
    def __init__(self, name: str) -> None:
        self._name = name

    async def CanHandle(  # noqa: N802 - gRPC names it
        self, request: module_pb2.CanHandleRequest, _: Any
    ) -> module_pb2.CanHandleResponse:
        return module_pb2.CanHandleResponse(can_handle=self._name in request.route.listeners)


# the other RPCs are not implemented here, and a client is told so
_Service.__abstractmethods__ = frozenset()


async def _serve(one: StandIn) -> None:
    server = grpc.aio.server()
    module_pb2_grpc.add_ModuleServiceServicer_to_server(_Service(one.name), server)  # type: ignore[abstract]
    port = server.add_insecure_port("0.0.0.0:0")
    await server.start()
    async with grpc.aio.insecure_channel(one.nlb) as channel:
        await _stay(nlb_pb2_grpc.NLBServiceStub(channel), _instance(one, f"{one.host}:{port}"))


async def _stay(stub: Any, instance: types_pb2.ModuleInstance) -> None:
    while True:
        answer = await stub.RegisterModule(
            nlb_pb2.RegisterModuleRequest(instance=instance), wait_for_ready=True
        )
        if not answer.success:
            raise SystemExit(f"{instance.instance_id}: {answer.message}")
        beat = nlb_pb2.HeartbeatRequest(
            instance_id=instance.instance_id,
            registration_id=answer.registration_id,
            status=types_pb2.HEALTH_STATUS_HEALTHY,
        )
        while (await stub.Heartbeat(beat)).acknowledged:  # noqa: ASYNC110 - a heartbeat, not a poll
            await asyncio.sleep(_BEAT_SECONDS)


def _instance(one: StandIn, address: str) -> types_pb2.ModuleInstance:
    endpoint = types_pb2.TrafficEndpoint(
        name="web", protocol=types_pb2.PROTOCOL_HTTP, address=one.traffic, proxy_protocol=one.proxied
    )
    return types_pb2.ModuleInstance(
        instance_id=one.name,
        module_type=types_pb2.MODULE_TYPE_ALB,
        address=address,
        version="v1",
        health_status=types_pb2.HEALTH_STATUS_HEALTHY,
        traffic_weight=100,
        traffic_endpoints=[endpoint],
    )


async def _main() -> None:
    async with asyncio.TaskGroup() as group:
        for text in sys.argv[1:]:
            group.create_task(_serve(StandIn.parse(text)))


if __name__ == "__main__":
    uvloop.run(_main())
