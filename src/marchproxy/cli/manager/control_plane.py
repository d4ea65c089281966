"""The control plane of a manager: nodes are served what is in force, as soon as it is."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.counts import Counts
from marchproxy.cli.xds.delivery import Delivery
from marchproxy.cli.xds.keeping import Keeper
from marchproxy.cli.xds.material import read_material, signatures
from marchproxy.cli.xds.offered import left_out
from marchproxy.cli.xds.serving import count, serving, validator_of
from marchproxy.cli.xds.settings import PlaneSettings
from marchproxy.cli.xds.source import FAULTS
from marchproxy.engines.envoy.xds import InconsistentSnapshot
from marchproxy.kit.listening import check_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import beside, every
from marchproxy.manager.desk import Desk
from marchproxy.manager.server import Extra
from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.model.record import Event
from marchproxy.model.state import DesiredState
from marchproxy.store import StoreUnavailable

_log = get_logger(__name__)
_SECTION = "manager.xds"
_LOOK_SECONDS = 0.25


def control_plane(settings: PlaneSettings) -> Extra:
    """What a manager runs beside itself to serve nodes."""

    @asynccontextmanager
    async def plane(desk: Desk, registry: CollectorRegistry) -> AsyncIterator[None]:
        check_free(settings.grpc, f"{_SECTION}.grpc")
        counts = Counts(registry)
        with tempfile.TemporaryDirectory(prefix="marchproxy-xds-") as scratch:
            keeper = Keeper(desk.settings.directory() / "xds")
            validator = validator_of(settings, Path(scratch))
            delivery = Delivery(settings, validator=validator, keeper=keeper, counts=counts, clock=desk.clock)
            count(counts, delivery)
            feed = Feed(settings, delivery, desk)
            await feed.begin(keeper)
            desk.revisions.examiners.append(feed)
            try:
                async with (
                    serving(settings, delivery, registry, section=_SECTION) as port,
                    beside(_looking(feed, desk), name="xds"),
                ):
                    _log.info("xDS ready", grpc=port)
                    yield
            finally:
                desk.revisions.examiners.remove(feed)

    return plane


async def _looking(feed: "Feed", desk: Desk) -> None:
    await every(_LOOK_SECONDS, feed.look, clock=desk.clock, name="what xDS serves")


class Feed:
    """Brings what is in force to the delivery, and says beforehand of a proposal whether that would be possible."""

    name = "xds"

    def __init__(self, settings: PlaneSettings, delivery: Delivery, desk: Desk) -> None:
        self._settings = settings
        self._delivery = delivery
        self._desk = desk
        self._compiling = asyncio.Lock()
        self._examined: Catalogue | None = None
        self._taken: tuple[object, ...] = ()
        self._files: tuple[str, ...] = ()
        self._hints: tuple[str, ...] = ()
        self._told = ""
        self.fault = ""
        """Why nodes are not given what is in force; empty: they are."""

    async def begin(self, keeper: Keeper) -> None:
        """Have something to give before anybody may ask: what is in force, else what was given last."""
        catalogue = await self._take()
        if catalogue is not None:
            await self._delivery.deliver(catalogue)
        elif (kept := keeper.load()) is not None:
            self._delivery.resume(kept)

    async def look(self) -> None:
        """Offer what is in force, if that is news, or a file that it names; tell of what nodes are not given."""
        self._delivery.look()
        if self._seen() != self._taken:
            catalogue = await self._take()
            if catalogue is not None:
                self._delivery.offer(catalogue)
        words = self.fault or "; ".join(self._delivery.faults().values())
        if words != self._told:
            await self._tell(words)

    async def examine(self, state: DesiredState, checksum: str, /) -> tuple[Problem, ...]:
        """What Envoy, or our compiler, would refuse. Where nodes are not given what is in force, nobody is held up."""
        if self.fault:
            return ()
        try:
            async with self._compiling:
                self._examined = await self._compile(state, checksum)
        except InvalidValue as error:
            return error.problems
        except InconsistentSnapshot as error:
            return (Problem("", str(error)),)
        return ()

    def _seen(self) -> tuple[object, ...]:
        return self._desk.revisions.current.head.checksum, signatures(self._files)

    async def _take(self) -> Catalogue | None:
        current = self._desk.revisions.current
        self._taken = self._seen()
        async with self._compiling:
            known, self._examined = self._examined, None
            try:
                if known is None or known.revision != current.head.checksum:
                    known = await self._compile(current.state, current.head.checksum)
            except FAULTS as error:
                self.fault = str(error)
                return None
        self.fault = ""
        if known.files != self._files:
            self._files = known.files
            self._taken = self._seen()
        self._hint(tuple(left_out(known.state.listeners, keys=self._settings.knows_nodes)))
        return known

    def _hint(self, hints: tuple[str, ...]) -> None:
        for hint in sorted(set(hints) - set(self._hints)):
            _log.warning(hint)
        self._hints = hints

    async def _compile(self, state: DesiredState, checksum: str) -> Catalogue:
        """Thousands of routes take seconds, in which everything else must go on. Raises as FAULTS."""

        def work() -> Catalogue:
            material, settings = read_material(state), self._settings
            return Catalogue(state, settings.nodes, material, keys=settings.knows_nodes, revision=checksum)

        catalogue = await asyncio.to_thread(work)
        await self._delivery.judge(catalogue)
        return catalogue

    async def _tell(self, words: str) -> None:
        self._told = words
        revision = self._desk.revisions.current.head.number
        at = self._desk.clock.now()
        if words:
            _log.error("nodes are not given all that is in force", revision=revision, reason=words)
            event = Event(at, "xds.behind", "xds", f"not all of revision {revision}: {words}", "error")
        else:
            _log.info("nodes are given what is in force", revision=revision)
            event = Event(at, "xds.current", "xds", f"all of revision {revision}")
        try:
            await self._desk.store.write_event(event)
        except StoreUnavailable as error:
            _log.warning("an event could not be kept", reason=str(error))
