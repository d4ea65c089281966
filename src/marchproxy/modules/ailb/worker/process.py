"""Worker: the process that decides for one AILB. There is one, since one must own what everybody has used.

`python -m marchproxy.modules.ailb.worker --socket PATH --run-dir PATH`. It decides by what it was last told, and lets Envoy ask
once it was told something; SIGTERM ends it.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
from envoy.service.accesslog.v3 import als_pb2_grpc

from marchproxy.engines.workers.desk import Desk
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit import logs
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.metrics import process_usage
from marchproxy.kit.tasks import Isolating, beside, every, run, run_service
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.ledger.file_store import FileStore
from marchproxy.modules.ailb.ledger.journal import Journal
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.listening import BACKLOG, listen_at
from marchproxy.modules.ailb.resources.sockets import Sockets
from marchproxy.modules.ailb.settling.hearing import Envoys, RelayLines
from marchproxy.modules.ailb.settling.written import Search
from marchproxy.modules.ailb.talk import LINE, Answer, Apply, Counts, Move, Plan, Question, WhichPlan
from marchproxy.modules.ailb.totals import entries
from marchproxy.modules.ailb.worker.answering import Answering, Handler
from marchproxy.modules.ailb.worker.house import CannotServe, House, read_time
from marchproxy.modules.ailb.worker.recovering import recover

_log = logs.get_logger(__name__)
_SWEEP_SECONDS = 1.0
_END_SECONDS = 3.0
_PARTING_SECONDS = 0.2
_POLL_SECONDS = 0.02
_PREDECESSOR_SECONDS = 10.0
#: Reports come within seconds, so what was settled before is not asked for any more.
_LATE_NANOSECONDS = 600_000_000_000
#: Of a request that ended before, it would not be known whether it was settled.
_RECOVERED_NANOSECONDS = _LATE_NANOSECONDS // 2
#: The folder of what was used, in that of the instance.
_USAGE = "usage"
_GRPC_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.so_reuseport", 0),
)


class Doors:
    """The sockets in the folder of an instance. Each is bound aside and then put in its place, so that there is always one."""

    def __init__(self, folder: Path, house: House, group: asyncio.TaskGroup, search: Search) -> None:
        self._folder = folder
        self._house = house
        self._group = group
        self._search = search
        self._servers: list[asyncio.Server] = []
        self._connections: set[Answering] = set()
        self._reports: grpc.aio.Server | None = None

    async def open(self) -> None:
        """Listen; a second time is no news. Raises OSError."""
        if self._servers:
            return
        house = self._house
        relays = partial(RelayLines, house.first, house.relay_says, house.note_garbled)
        await self._listen(asking.ENDED_SOCKET, relays)
        self._reports = grpc.aio.server(options=_GRPC_OPTIONS)
        als_pb2_grpc.add_AccessLogServiceServicer_to_server(
            Envoys(house.envoy_says, house.nobody_waits), self._reports
        )
        path = self._folder / asking.REPORTS_SOCKET
        aside = path.with_suffix(".new")
        aside.unlink(missing_ok=True)
        self._reports.add_insecure_port(f"unix:{aside}")
        await self._reports.start()
        aside.rename(path)
        await self._listen(asking.OWN_SOCKET, self._answering(house.own))
        await self._listen(asking.DECIDE_SOCKET, self._answering(house.decide))
        self._group.create_task(recover(Sockets(self._folder).written, self._search, house, SystemClock()))

    async def close(self, seconds: float) -> None:
        """Listen no more; what is being decided has so many seconds."""
        for server in self._servers:
            server.close()
        try:
            async with asyncio.timeout(seconds):
                while self._connections:
                    for connection in [one for one in self._connections if one.is_idle]:
                        connection.close()
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            _log.warning("requests that wait are given up", count=len(self._connections))
        for connection in list(self._connections):
            connection.close()
        if self._reports is not None:
            await self._reports.stop(_PARTING_SECONDS)  # Envoy never ends its stream

    def _answering(self, handler: Handler) -> Callable[[], asyncio.Protocol]:
        return partial(Answering, handler, self._group, self._connections)

    async def _listen(self, name: str, protocol: Callable[[], asyncio.Protocol]) -> None:
        listening = listen_at(self._folder / name)
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(protocol, sock=listening, backlog=BACKLOG))


class Replies:
    """What the decider answers its AILB."""

    def __init__(self, house: House, doors: Doors) -> None:
        self._house = house
        self._doors = doors

    async def answer(self, question: Question) -> Answer:
        """Do what is asked."""
        match question:
            case Apply():
                return await self._apply(question)
            case Move():
                self._house.move(question)
            case WhichPlan():
                return Plan(self._house.told)
            case Count():
                return self._count()
        return Done()

    async def _apply(self, told: Apply) -> Answer:
        try:
            self._house.apply(told)
            await self._doors.open()
        except (CannotServe, OSError) as error:
            return Refused(str(error))
        except Exception as error:  # noqa: BLE001 - or the AILB would only hear that nobody answers; it is logged in full
            _log.exception("what was told could not be carried out")
            return Refused(f"{type(error).__name__}: {error}; the decider's log has more")
        return Done()

    def _count(self) -> Counts:
        house = self._house
        counts, (cpu, memory) = house.ledger.counts, process_usage()
        return Counts(
            entries(house.decider.tallies),
            len(house.under_way),
            len(house.queueing),
            granted=counts.granted,
            refused=counts.refused,
            settled=counts.settled,
            lost=counts.lost,
            late=counts.late,
            garbled=house.garbled,
            unwritten=house.journal.unwritten,
            shed=house.queueing.counts.shed,
            endpoints=house.chooser.standings(read_time().steady),
            attempts=house.chooser.attempts(),
            cpu_percent=cpu,
            memory_mb=memory,
        )


async def serve(path: Path, folder: Path, stop: asyncio.Event) -> None:
    """Answer the AILB at `path`, and Envoy in `folder`, until `stop` is set. Raises OSError."""
    clock, totals, store = SystemClock(), Totals(), FileStore(folder / _USAGE)
    settled = await _restore(store, totals, clock)
    journal = Journal(store, totals, clock)
    async with beside(journal.run(), name="journal"), _group() as group:
        house = House(group, totals, journal, clock, settled=settled)

        async def sweep() -> None:
            house.sweep()

        since = (read_time().wall - _RECOVERED_NANOSECONDS) / 1e9
        doors = Doors(folder, house, group, Search(house.first, settled, since))
        desk = Desk(LINE, Replies(house, doors).answer)
        server = await asyncio.start_unix_server(desk.talk, path)
        try:
            async with beside(every(_SWEEP_SECONDS, sweep, clock=clock, name="sweep"), name="sweep"):
                _log.info("decider ready", socket=str(path))
                await stop.wait()
                server.close()
                desk.hang_up()
        finally:
            await doors.close(_END_SECONDS)
            house.close()
            await house.moderators.close()
    _log.info("decider ends", under_way=len(house.under_way))


async def _restore(store: FileStore, totals: Totals, clock: Clock) -> set[int]:
    """Know what was spent, and return which reservations were settled of late. Another decider, which ends, may have the folder
    still. Raises OSError: budgets must not begin anew because a disk cannot be read."""
    deadline = clock.monotonic() + _PREDECESSOR_SECONDS
    while True:
        try:
            return await asyncio.to_thread(_known, store, totals, read_time().wall)
        except BlockingIOError:
            if clock.monotonic() > deadline:
                raise
            await clock.sleep(_POLL_SECONDS)


def _known(store: FileStore, totals: Totals, now: int) -> set[int]:
    store.restore(totals, now)
    return store.numbers(now - _LATE_NANOSECONDS, now + _LATE_NANOSECONDS)


@asynccontextmanager
async def _group() -> AsyncIterator[asyncio.TaskGroup]:
    """For requests that wait, which end with the sockets they came from."""
    async with asyncio.timeout(None) as life, Isolating() as group:
        yield group
        life.reschedule(asyncio.get_running_loop().time() + _END_SECONDS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the decider."""
    parser = argparse.ArgumentParser(prog="marchproxy-ailb-decider")
    parser.add_argument(
        "--socket", required=True, type=Path, help="path of the Unix socket to answer the AILB at"
    )
    parser.add_argument(
        "--run-dir", required=True, type=Path, help="folder of the sockets for Envoy and relays"
    )
    parser.add_argument("--log-level", default="info")
    told = parser.parse_args(arguments)
    logs.configure(level=told.log_level, json=True)
    run(lambda: run_service(lambda stop: serve(told.socket, told.run_dir, stop), patient=True))
