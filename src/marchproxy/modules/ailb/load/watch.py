"""Watch: asks engines how they are, each over a connection of its own, and tells who listens.

One that is slow or dead costs nothing but that nobody knows how it is: it is asked again later and later, up to 2 s.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.ai import AiPool, Provider
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb.load.engine_load import Listener
from marchproxy.modules.ailb.load.exposition import FAMILIES, BadMetrics, read_load
from marchproxy.modules.ailb.load.page import NoPage, PageReader

_log = get_logger(__name__)
_PATIENCE = 1.0
_RETRIES = Backoff(initial=0.1, maximum=2.0)
_FAULTS = (OSError, TimeoutError, NoPage, BadMetrics)


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine to be watched. `address`: `ip:port`. `interval` in seconds."""

    pool: PoolName
    address: str
    provider: Provider
    path: str
    interval: float

    @staticmethod
    def of(pool: BackendPool, address: str) -> "Engine | None":
        """An endpoint of a pool; None: it is no engine, or only to be reached by TLS, or nobody wants to know."""
        options = pool.ai or AiPool()
        if options.provider not in FAMILIES or not options.metrics_interval or pool.tls is not None:
            return None
        return Engine(pool.name, address, options.provider, options.metrics_path, options.metrics_interval)


class Watch:
    """Of one engine. `told` is called with the pool's name whenever more, or less, is known of it."""

    def __init__(
        self, engine: Engine, listener: Listener, told: Callable[[PoolName], None], clock: Clock
    ) -> None:
        self.engine = engine
        self.listener = listener
        self._told = told
        self._clock = clock
        self._dice = Random(engine.address)  # noqa: S311 - spreads retries, guards nothing
        self._fault: str | None = None
        self._failures = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._converse()
            except _FAULTS as error:
                self._silent(str(error) or "no answer in time")
            await self._clock.sleep(_RETRIES.delay(self._failures, self._dice.random()))
            self._failures += 1

    async def _converse(self) -> None:
        """Ask over one connection until it is closed in order. Raises what `_FAULTS` names."""
        address = HostPort.parse(self.engine.address)
        loop = asyncio.get_running_loop()
        reader = PageReader(self.engine.address, self.engine.path)
        try:
            async with asyncio.timeout(_PATIENCE):
                await loop.create_connection(lambda: reader, address.host, address.port)
            while reader.is_open:
                began = self._clock.monotonic()
                await self._ask(reader)
                await self._clock.sleep(began + self.engine.interval - self._clock.monotonic())
        finally:
            reader.close()

    async def _ask(self, reader: PageReader) -> None:
        self.listener.asked()
        async with asyncio.timeout(_PATIENCE):
            page = await reader.read()
        load = read_load(page, FAMILIES[self.engine.provider])
        self.listener.heard(load, self._clock.monotonic())
        self._note(None)
        self._failures = 0
        self._told(self.engine.pool)

    def _silent(self, fault: str) -> None:
        self.listener.silent()
        self._note(fault)
        self._told(self.engine.pool)

    def _note(self, fault: str | None) -> None:
        if fault != self._fault:
            _log.info("engine", pool=self.engine.pool, address=self.engine.address, fault=fault or "none")
        self._fault = fault
