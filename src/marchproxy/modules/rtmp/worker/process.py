"""Worker process: serves the streams that are its own, beside others like it on the same ports.

`python -m marchproxy.modules.rtmp.worker --socket PATH --index N --workers M --media DIR`. It serves what it was last told until
it is told otherwise; SIGTERM ends it once its clients have gone or have had their time.
"""

import argparse
import asyncio
import resource
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from marchproxy.engines.workers.desk import Desk
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit import logs
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.metrics import process_usage
from marchproxy.kit.tasks import Isolating, beside, every, run, run_service
from marchproxy.modules.rtmp.playback.watching import Counter, socket_of
from marchproxy.modules.rtmp.service import OriginReport, Surroundings
from marchproxy.modules.rtmp.talk import (
    LINE,
    Answer,
    Apply,
    Counts,
    Drain,
    Look,
    Plan,
    Question,
    Seen,
    WhichPlan,
)
from marchproxy.modules.rtmp.tally import Tallies
from marchproxy.modules.rtmp.totals import entries
from marchproxy.modules.rtmp.worker.house import CannotServe, Factory, House, Numbers
from marchproxy.modules.rtmp.worker.station import Station

_log = logs.get_logger(__name__)
_SWEEP_SECONDS = 1.0
_POLL_SECONDS = 0.02
_CHECK_SECONDS = 4.0
_END_SECONDS = 3.0
_MOST_CLIENTS = 50_000
_OTHER_DESCRIPTORS = 256


class Answering:
    """What the worker answers its supervisor."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def answer(self, question: Question) -> Answer:
        """Do what is asked."""
        house = self._house
        match question:
            case Apply():
                return self._apply(question)
            case WhichPlan():
                return Plan(house.told)
            case Count():
                return self._count()
            case Look(ask):
                return Seen(tuple(house.service.streams()), await self._origins(ask=ask))
            case Drain():
                house.drain()
        return Done()

    def _apply(self, told: Apply) -> Answer:
        try:
            self._house.apply(told)
        except (CannotServe, BindError) as error:
            return Refused(str(error), in_use=isinstance(error, PortInUse))
        except Exception as error:  # noqa: BLE001 - or the supervisor would only hear that nobody answers; it is logged in full
            _log.exception("what was told could not be carried out")
            return Refused(
                f"{type(error).__name__}: {error}; the worker's log has more, and a part may be done"
            )
        return Done()

    def _count(self) -> Counts:
        house = self._house
        cpu, memory = process_usage()
        addresses = tuple(port.address for port in house.ports)
        return Counts(entries(house.tallies), house.clients(), house.accepted, cpu, memory, addresses)

    async def _origins(self, *, ask: bool) -> tuple[OriginReport, ...]:
        if ask:
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    return tuple(await self._house.service.check())
            except TimeoutError:
                _log.warning("origins did not answer a check in time", seconds=_CHECK_SECONDS)
        return tuple(self._house.service.origins())


async def serve(
    socket: Path,
    stop: asyncio.Event,
    *,
    numbers: Numbers,
    factory: Factory = Station,
    clock: Clock | None = None,
) -> None:
    """Answer at the Unix socket until `stop` is set, then drain. Raises OSError."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        life = await stack.enter_async_context(asyncio.timeout(None))
        group = await stack.enter_async_context(Isolating())
        around = Surroundings(
            group,
            clock,
            Tallies(),
            worker=numbers.worker,
            workers=numbers.workers,
            folder=socket.parent,
            media=numbers.media,
            instance=numbers.instance,
        )
        house = House(factory, around, most=numbers.clients, clock=clock)
        desk = Desk(LINE, Answering(house).answer)
        server = await asyncio.start_unix_server(desk.talk, socket)
        viewers = Counter(house.service.watch)
        counter = await asyncio.start_unix_server(viewers.talk, socket_of(socket.parent, numbers.worker))

        async def sweep() -> None:
            house.service.sweep()

        try:
            async with beside(every(_SWEEP_SECONDS, sweep, clock=clock, name="sweep"), name="sweep"):
                _log.info("worker ready", socket=str(socket))
                await stop.wait()
                server.close()
                counter.close()
                desk.hang_up()
                left = await _drained(house, clock)
            _log.info("worker ends", cut=left)
        finally:
            house.close()
            life.reschedule(asyncio.get_running_loop().time() + _END_SECONDS)  # for tasks that do not end


async def _drained(house: House, clock: Clock) -> int:
    """How many clients are left when they have had their time."""
    house.drain()
    while (left := house.clients()) and clock.monotonic() < house.drain_deadline:
        await clock.sleep(_POLL_SECONDS)
    return left


def main(arguments: Sequence[str] | None = None, *, factory: Factory = Station) -> None:
    """Run one worker, which serves what the factory makes."""
    parser = argparse.ArgumentParser(prog="marchproxy-rtmp-worker")
    parser.add_argument("--socket", required=True, type=Path, help="path of the Unix socket to answer at")
    parser.add_argument("--media", required=True, type=Path, help="folder of segments and playlists")
    parser.add_argument("--index", type=int, default=0, help="which worker this is, from 0")
    parser.add_argument("--workers", type=int, default=1, help="of how many")
    parser.add_argument("--instance", default="", help="the id of the instance")
    parser.add_argument("--log-level", default="info")
    told = parser.parse_args(arguments)
    logs.configure(level=told.log_level, json=True)
    numbers = Numbers(told.index, told.workers, _most_clients(), told.media, told.instance)
    run(
        lambda: run_service(
            lambda stop: serve(told.socket, stop, numbers=numbers, factory=factory), patient=True
        )
    )


def _most_clients() -> int:
    """Each client may have a connection to an origin of its own."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max((descriptors - _OTHER_DESCRIPTORS) // 2, 1), _MOST_CLIENTS)
