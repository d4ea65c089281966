"""Worker: one process that serves databases' clients, beside others like it on the same ports.

`python -m marchproxy.modules.dblb.worker --socket PATH --index N --workers M`. It serves what it was last told until it is
told otherwise; SIGTERM ends it once its clients have gone or have had their time.
"""

import argparse
import asyncio
import resource
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

from marchproxy.engines.workers.desk import Desk
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit import logs
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.metrics import process_usage
from marchproxy.kit.tasks import Isolating, beside, every, run, run_service
from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.limits.gate import LimitGate
from marchproxy.modules.dblb.service import Bounds, ServerReport
from marchproxy.modules.dblb.talk import (
    LINE,
    Answer,
    Apply,
    Busy,
    Counts,
    Drain,
    Number,
    Plan,
    Question,
    Seen,
    Servers,
    WhichPlan,
)
from marchproxy.modules.dblb.totals import entries
from marchproxy.modules.dblb.worker.house import CannotServe, House, Numbers
from marchproxy.modules.dblb.worker.peers import Peers
from marchproxy.modules.dblb.worker.services import SERVICES, Factory
from marchproxy.modules.reception.limits.table import LimitTable

_log = logs.get_logger(__name__)
_SWEEP_SECONDS = 1.0
_POLL_SECONDS = 0.02
_CHECK_SECONDS = 4.0
_END_SECONDS = 3.0
_LIMITS = "limits"  # in the folder, where all workers find it
_MOST_CLIENTS = 50_000
_OTHER_DESCRIPTORS = 256


class Answering:
    """What the worker answers its DBLB."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def answer(self, question: Question) -> Answer:
        """Do what is asked."""
        services = self._house.services.values()
        match question:
            case Apply():
                return self._apply(question)
            case WhichPlan():
                return Plan(self._house.told)
            case Count():
                return self._count()
            case Servers(ask):
                return Seen(await self._servers(ask=ask))
            case Busy(route):
                return Number(sum(service.busy(route) for service in services))
            case Drain():
                self._house.drain()
        return Done()

    def _apply(self, told: Apply) -> Answer:
        try:
            self._house.apply(told)
        except (CannotServe, BindError) as error:
            return Refused(str(error), in_use=isinstance(error, PortInUse))
        except Exception as error:  # noqa: BLE001 - or the DBLB would only hear that nobody answers; it is logged in full
            _log.exception("what was told could not be carried out")
            return Refused(
                f"{type(error).__name__}: {error}; the worker's log has more, and a part may be done"
            )
        return Done()

    def _count(self) -> Counts:
        house = self._house
        cpu, memory = process_usage()
        return Counts(
            entries(house.tallies),
            tuple(gauge for service in house.services.values() for gauge in service.gauges()),
            house.clients(),
            house.accepted,
            cpu,
            memory,
            tuple(port.address for port in house.ports),
        )

    async def _servers(self, *, ask: bool) -> tuple[ServerReport, ...]:
        services = list(self._house.services.values())
        if not ask:
            return tuple(report for service in services for report in service.servers())
        try:
            async with asyncio.timeout(_CHECK_SECONDS), asyncio.TaskGroup() as group:
                asked = [group.create_task(service.check()) for service in services]
        except TimeoutError:
            _log.warning("servers did not answer a check in time", seconds=_CHECK_SECONDS)
            return await self._servers(ask=False)
        return tuple(report for task in asked for report in task.result())


async def serve(
    socket: Path,
    stop: asyncio.Event,
    *,
    numbers: Numbers,
    factories: Mapping[Protocol, Factory] = SERVICES,
    clock: Clock | None = None,
) -> None:
    """Answer at the Unix socket until `stop` is set, then drain. Raises OSError."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        table = LimitTable(socket.with_name(_LIMITS), alone=numbers.workers == 1)
        gate = stack.enter_context(closing(LimitGate(table)))
        life = await stack.enter_async_context(asyncio.timeout(None))
        group = await stack.enter_async_context(Isolating())
        house = House(group, factories, gate, numbers=numbers, clock=clock)
        house.folder = socket.parent
        house.peers = Peers(socket.parent, numbers.worker, house.hear)
        house.peers.open()
        desk = Desk(LINE, Answering(house).answer)
        server = await asyncio.start_unix_server(desk.talk, socket)

        async def sweep() -> None:
            house.sweep()

        try:
            async with beside(every(_SWEEP_SECONDS, sweep, clock=clock, name="sweep"), name="sweep"):
                _log.info("worker ready", socket=str(socket))
                await stop.wait()
                server.close()
                desk.hang_up()
                left = await _drained(house, clock)
            _log.info("worker ends", cut=left)
        finally:
            house.close()
            house.peers.close()
            life.reschedule(asyncio.get_running_loop().time() + _END_SECONDS)  # for tasks that do not end


async def _drained(house: House, clock: Clock) -> int:
    """How many clients are left when they have had their time."""
    house.drain()
    while (left := house.clients()) and clock.monotonic() < house.drain_deadline:
        await clock.sleep(_POLL_SECONDS)
    return left


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one worker."""
    parser = argparse.ArgumentParser(prog="marchproxy-dblb-worker")
    parser.add_argument("--socket", required=True, type=Path, help="path of the Unix socket to answer at")
    parser.add_argument("--index", type=int, default=0, help="which worker this is, from 0")
    parser.add_argument("--workers", type=int, default=1, help="of how many")
    defaults = Bounds()
    for name in ("message", "client_statements", "server_statements"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    parser.add_argument("--log-level", default="info")
    told = parser.parse_args(arguments)
    logs.configure(level=told.log_level, json=True)
    bounds = Bounds(told.message, told.client_statements, told.server_statements)
    numbers = Numbers(told.index, told.workers, _most_clients(), bounds)
    run(lambda: run_service(lambda stop: serve(told.socket, stop, numbers=numbers), patient=True))


def _most_clients() -> int:
    """Each client may have a server connection of its own."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max((descriptors - _OTHER_DESCRIPTORS) // 2, 1), _MOST_CLIENTS)
