"""The yardstick: ModuleService on plain grpc.aio, whose GetStatus answers one stored message.

`python -m bench.support.bare PORT MESSAGE_FILE`
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop

from marchproxy.contract.pb import module_pb2, module_pb2_grpc


class _Bare(module_pb2_grpc.ModuleServiceServicer):
    def __init__(self, answer: module_pb2.GetStatusResponse) -> None:
        self._answer = answer

    async def GetStatus(self, request: Any, context: Any) -> module_pb2.GetStatusResponse:  # noqa: ARG002, N802
        return self._answer


async def _serve(port: int, message: Path) -> None:
    server = grpc.aio.server()
    answer = module_pb2.GetStatusResponse.FromString(message.read_bytes())
    module_pb2_grpc.add_ModuleServiceServicer_to_server(_Bare(answer), server)  # type: ignore[abstract]
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
