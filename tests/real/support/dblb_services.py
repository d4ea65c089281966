"""The DBLB's services in the test's own process: plans from documents, and a listener in front of a service."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from marchproxy.contract.document import decode
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.plan import DblbPlan, compile_plan
from marchproxy.modules.dblb.service import DatabaseService, Surroundings
from marchproxy.modules.dblb.tally import Tallies
from marchproxy.modules.reception.client import Arrival, ClientTls


def plan_of(document: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> DblbPlan:
    """The plan of a desired-state document; `files` are the userlists by path."""
    plan, problems = compile_plan(decode(json.dumps(document).encode()), files or {})
    assert not problems, problems
    return plan


class Served:
    """A service, and the port where it listens."""

    def __init__(self, service: Any, port: int, around: Surroundings) -> None:
        self.service = service
        self.port = port
        self.around = around
        self.transports: set[asyncio.BaseTransport] = set()
        """Of the clients that ever came."""


@asynccontextmanager
async def serving(
    make: Callable[[Surroundings], DatabaseService],
    plan: DblbPlan,
    *,
    change: Callable[[Surroundings], None] | None = None,
    tls: ClientTls | None = None,
) -> AsyncIterator[Served]:
    """A service with a plan, on a port; `change` is done to its surroundings first, `tls` is offered to clients."""
    async with asyncio.TaskGroup() as group:
        around = Surroundings(group, SystemClock(), Tallies(), OpenGate())
        if change is not None:
            change(around)
        service = make(around)
        service.apply(plan)
        served = Served(service, 0, around)

        def accept() -> asyncio.Protocol:
            protocol = service.accept(Arrival(HostPort("127.0.0.1", 1), served.port, tls))
            connected = protocol.connection_made

            def made(transport: asyncio.BaseTransport) -> None:
                served.transports.add(transport)
                connected(transport)

            protocol.connection_made = made  # type: ignore[method-assign]
            return protocol

        listener = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
        served.port = listener.sockets[0].getsockname()[1]
        sweeping = group.create_task(_sweep(service))
        try:
            yield served
        finally:
            listener.close()
            sweeping.cancel()
            service.close()


async def _sweep(service: DatabaseService) -> None:
    while True:
        await asyncio.sleep(1)
        service.sweep()
