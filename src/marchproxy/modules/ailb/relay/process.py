"""Relay: one process through which streams go that must be looked at; there are some of them, which know nothing of each other.

`python -m marchproxy.modules.ailb.relay --socket PATH --listen PATH --run-dir PATH`. It lets Envoy ask once it was told something;
SIGTERM ends it once its streams have ended or have had their time.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from marchproxy.contract.document import decode
from marchproxy.engines.workers.desk import Desk
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit import logs
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.metrics import process_usage
from marchproxy.kit.tasks import Isolating, beside, every, run, run_service
from marchproxy.modules.ailb.listening import BACKLOG, listen_at
from marchproxy.modules.ailb.relay.errands import Errands
from marchproxy.modules.ailb.relay.front import Front
from marchproxy.modules.ailb.relay.link import Links
from marchproxy.modules.ailb.relay.office import Office
from marchproxy.modules.ailb.relay.reports import Reports
from marchproxy.modules.ailb.relay.talk import LINE, Answer, Counts, Question
from marchproxy.modules.ailb.relay.wayfinder import Wayfinder
from marchproxy.modules.ailb.resources.sockets import Sockets
from marchproxy.modules.ailb.talk import Apply, Move, Places, Plan, WhichPlan
from marchproxy.wire.http2.server import Limits

_log = logs.get_logger(__name__)
_LOOK_SECONDS = 1.0
_POLL_SECONDS = 0.02
_END_SECONDS = 3.0
_DRAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Where:
    """`socket`: the AILB asks; `listen`: Envoy does; `folder`: of the sockets of the decider and of Envoy's egress."""

    socket: Path
    listen: Path
    folder: Path
    drain_seconds: float = _DRAIN_SECONDS


class Relay:
    """What the process does for Envoy, and what it answers its AILB."""

    def __init__(self, office: Office, listen: Path) -> None:
        self._office = office
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._fronts: set[Front] = set()
        self._told: Apply | None = None
        self._wayfinder = Wayfinder()
        self._limits = Limits()

    async def answer(self, question: Question) -> Answer:
        """Do what is asked."""
        match question:
            case Apply():
                return await self._apply(question)
            case Move(places):
                self._move(places)
            case WhichPlan():
                return Plan(self._told)
            case Count():
                return self._count()
        return Done()

    async def drain(self, seconds: float, clock: Clock) -> int:
        """Listen no more, and end when the streams have; how many had not."""
        if self._server is not None:
            self._server.close()
        for front in list(self._fronts):
            front.drain()
        deadline = clock.monotonic() + seconds
        while (left := len(self._office)) and clock.monotonic() < deadline:
            await clock.sleep(_POLL_SECONDS)
        self._office.close()
        for front in list(self._fronts):
            front.close()
        return left

    async def look(self) -> None:
        """Once a second or so: whether a provider is to be shown another key."""
        self._office.ways = await self._wayfinder.look() or self._office.ways

    async def _apply(self, told: Apply) -> Answer:
        try:
            ways = await self._wayfinder.follow(decode(told.document.encode()), told.places)
            if self._server is None:
                self._server = await self._open()
        except (OSError, ValueError) as error:  # InvalidValue, and what pydantic says
            return Refused(str(error))
        except Exception as error:  # noqa: BLE001 - or the AILB would only hear that nobody answers; it is logged in full
            _log.exception("what was told could not be carried out")
            return Refused(f"{type(error).__name__}: {error}; the relay's log has more")
        self._told, self._office.ways = told, ways
        return Done()

    def _move(self, places: Places) -> None:
        self._office.ways = self._wayfinder.move(places) or self._office.ways

    async def _open(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        listening = listen_at(self._listen)
        front = partial(Front, self._office, self._limits, self._fronts)
        return await loop.create_unix_server(front, sock=listening, backlog=BACKLOG)

    def _count(self) -> Counts:
        office = self._office
        cpu, memory = process_usage()
        return Counts(
            office.endings,
            len(office),
            len(office.links),
            len(office.reports),
            office.reports.lost,
            cpu,
            memory,
        )


async def serve(where: Where, stop: asyncio.Event) -> None:
    """Answer until `stop` is set, then drain. Raises OSError."""
    clock = SystemClock()
    sockets = Sockets(where.folder)
    reports = Reports(sockets.ended, clock)
    async with _group() as group, beside(reports.run(), name="reports"):
        links = Links(sockets.egress, clock, asyncio.get_running_loop().call_soon)
        office = Office(group, links, Errands(sockets.own), reports)

        async def sweep() -> None:
            office.sweep()

        relay = Relay(office, where.listen)
        desk = Desk(LINE, relay.answer)
        server = await asyncio.start_unix_server(desk.talk, where.socket)
        left = 0
        try:
            async with (
                beside(every(office.rhythm, sweep, clock=clock, name="sweep"), name="sweep"),
                beside(every(_LOOK_SECONDS, relay.look, clock=clock, name="keys"), name="keys"),
            ):
                _log.info("relay ready", socket=str(where.socket))
                await stop.wait()
                server.close()
                desk.hang_up()
                left = await relay.drain(where.drain_seconds, clock)
        finally:
            office.close()
        await _told(reports, clock)
        _log.info("relay ends", cut=left, untold=len(reports))


async def _told(reports: Reports, clock: Clock) -> None:
    """Give the decider the time to hear the last ones."""
    deadline = clock.monotonic() + _END_SECONDS
    while len(reports) and clock.monotonic() < deadline:
        await clock.sleep(_POLL_SECONDS)


@asynccontextmanager
async def _group() -> AsyncIterator[asyncio.TaskGroup]:
    """For what requests wait for, which ends with them."""
    async with asyncio.timeout(None) as life, Isolating() as group:
        yield group
        life.reschedule(asyncio.get_running_loop().time() + _END_SECONDS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one relay."""
    parser = argparse.ArgumentParser(prog="marchproxy-ailb-relay")
    parser.add_argument(
        "--socket", required=True, type=Path, help="path of the Unix socket to answer the AILB at"
    )
    parser.add_argument(
        "--listen", required=True, type=Path, help="path of the Unix socket at which Envoy asks"
    )
    parser.add_argument(
        "--run-dir", required=True, type=Path, help="folder of the sockets of decider and egress"
    )
    parser.add_argument("--drain-seconds", type=float, default=_DRAIN_SECONDS, help="for streams to end in")
    parser.add_argument("--log-level", default="info")
    told = parser.parse_args(arguments)
    logs.configure(level=told.log_level, json=True)
    where = Where(told.socket, told.listen, told.run_dir, told.drain_seconds)
    run(lambda: run_service(lambda stop: serve(where, stop), patient=True))
