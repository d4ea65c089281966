"""The Envoy model behind a real gRPC channel."""

import asyncio
from contextlib import asynccontextmanager

import grpc.aio
from envoy.service.discovery.v3 import ads_pb2_grpc


@asynccontextmanager
async def attached(model, socket):
    """Connect `model` over a Unix socket and let it answer until the block ends; yields the call."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        call = stub.DeltaAggregatedResources() if model.delta else stub.StreamAggregatedResources()
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(_answer(model, call))
            try:
                yield call
            finally:
                answering.cancel()
                call.cancel()


async def _answer(model, call):
    for request in model.connect():
        await call.write(request)
    async for response in call:
        for request in model.receive(response):
            await call.write(request)
