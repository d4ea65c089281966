"""Engines at these ports of the loopback: `python -m tests.real.support.engine_simulator PORT… [NAME=VALUE…]`."""

import asyncio
import sys

import uvloop

from tests.real.support.engine_simulator.connection import Connection
from tests.real.support.engine_simulator.engine import Behaviour, Engine


async def _serve(ports: list[int], behaviour: Behaviour) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        engine = Engine(behaviour)
        await loop.create_server(lambda engine=engine: Connection(engine), "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


def _main() -> None:
    words = sys.argv[1:]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    ports = [int(word) for word in words if "=" not in word]
    uvloop.run(_serve(ports, Behaviour().changed(named)))


if __name__ == "__main__":
    _main()
