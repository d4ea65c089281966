"""Backends that send back what they get, over WebSocket and over gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import websockets

BYE = "bye"


@asynccontextmanager
async def websocket_echo() -> AsyncIterator[int]:
    """Its port. The text `bye` makes it close the connection, with code 4001."""

    async def answer(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            if message == BYE:
                await connection.close(4001, "as you wish")
                return
            await connection.send(message)

    async with websockets.serve(answer, "127.0.0.1", 0, max_size=4 << 20) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@asynccontextmanager
async def grpc_echo() -> AsyncIterator[int]:
    """Its port. /echo.Echo/Once is unary, Chat a stream both ways, Refuse ends with NOT_FOUND and a trailer."""

    async def once(request: bytes, _: Any) -> bytes:
        return request

    async def chat(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def refuse(_: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-why", "because"),))
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")

    handlers = {
        "Once": grpc.unary_unary_rpc_method_handler(once),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("echo.Echo", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
