"""`marchproxy xds`: the control plane as a process, until a signal ends it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from marchproxy.cli.failing import failing_clearly, warn
from marchproxy.cli.leash import ParentGone, end_with
from marchproxy.cli.xds.beginning import Beginning, begin
from marchproxy.cli.xds.counts import Counts
from marchproxy.cli.xds.delivery import Delivery
from marchproxy.cli.xds.serving import count, serving, validator_of
from marchproxy.cli.xds.settings import XdsSettings
from marchproxy.cli.xds.source import FAULTS, Source
from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.kit import logs, tasks
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import BindError
from marchproxy.kit.http import HttpEndpoint
from marchproxy.kit.listening import check_free
from marchproxy.kit.metrics import new_registry
from marchproxy.model.problem import InvalidValue

_log = logs.get_logger(__name__)
_LOOK_SECONDS = 0.5


def run_xds(file: Path, leash: int | None = None) -> None:
    """Serve the file over xDS until SIGTERM or SIGINT; SIGHUP, or a change, has it read again. Raises typer.Exit.

    With `leash` it also ends when the process of that id does, which must have started it.
    """
    with failing_clearly(BindError, EnvoyMissing, ParentGone, *FAULTS):
        if leash is not None:
            end_with(leash)
        beginning = begin(file)
        for hint in beginning.hints:
            warn(hint)
        logs.configure(level=beginning.settings.log_level)
        logs.bind(service="xds")
        plane = _ControlPlane(beginning, file)
        tasks.run(lambda: tasks.run_service(plane.serve, on_reload=plane.reload))


class _ControlPlane:
    def __init__(self, beginning: Beginning, file: Path) -> None:
        self._settings = beginning.settings
        self._beginning = beginning
        self._registry = new_registry()
        self._counts = Counts(self._registry)
        self._scratch = tempfile.TemporaryDirectory(prefix="marchproxy-xds-")
        self._delivery = Delivery(
            self._settings,
            validator=validator_of(self._settings, Path(self._scratch.name)),
            keeper=beginning.keeper,
            counts=self._counts,
            clock=SystemClock(),
        )
        self._source = Source(
            file,
            self._delivery.offer,
            judge=self._delivery.judge,
            read=beginning.read,
            beside=beginning.files,
        )

    async def reload(self) -> None:
        await self._source.reload()

    async def _begin(self) -> None:
        """Have something to give before anybody may ask. Raises InvalidValue when there is nothing."""
        catalogue, kept = self._beginning.catalogue, self._beginning.kept
        if catalogue is not None:
            try:
                await self._delivery.judge(catalogue)
            except InvalidValue as error:
                if kept is None:
                    raise
                self._source.fault = str(error)
            else:
                await self._delivery.deliver(catalogue)
                return
        else:
            self._source.fault = self._beginning.fault
        if kept is not None:
            self._delivery.resume(kept)
            _log.error(
                "the file cannot be used; nodes are given what they were given last",
                reason=self._source.fault,
            )

    async def serve(self, stop: asyncio.Event) -> None:
        settings, registry = self._settings, self._registry
        check_free(settings.grpc, "xds.grpc")
        self._count()
        ready = asyncio.Event()
        with self._scratch:
            await self._begin()
            async with (
                _operations(settings, registry, lambda: self._ready(serving=ready.is_set())),
                serving(settings, self._delivery, registry) as port,
                tasks.beside(
                    tasks.every(_LOOK_SECONDS, self._look, clock=SystemClock(), name="look at the file"),
                    name="look at the file",
                ),
            ):
                ready.set()
                _log.info("xDS ready", grpc=port)
                await stop.wait()
                ready.clear()
                _log.info("xDS stopping")

    async def _look(self) -> None:
        self._delivery.look()
        await self._source.look()

    def _ready(self, *, serving: bool) -> tuple[bool, Mapping[str, object]]:
        # a file that was spoilt leaves the last good one in force, which is no reason to send nodes elsewhere
        held = dict(self._delivery.faults())
        return serving, {"serving": serving, "file": self._source.fault or "in force", "not_in_force": held}

    def _count(self) -> None:
        count(self._counts, self._delivery)
        refused = "1 while the file has errors and an earlier one is in force."
        self._counts.gauge("file_refused", refused, lambda: float(bool(self._source.fault)))


@asynccontextmanager
async def _operations(
    settings: XdsSettings, registry: CollectorRegistry, ready: Callable[[], tuple[bool, Mapping[str, object]]]
) -> AsyncIterator[None]:
    endpoint = HttpEndpoint(settings.metrics, registry=registry, ready=ready, setting="xds.metrics")
    await endpoint.start()
    try:
        yield
    finally:
        await endpoint.stop()
