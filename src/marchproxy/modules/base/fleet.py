"""Fleet: every NLB that the instance is registered with, taken together."""

import asyncio
from collections.abc import Callable, Iterable

from marchproxy.contract.convert import MODULE_TYPES
from marchproxy.contract.pb import nlb_pb2, nlb_pb2_grpc, types_pb2
from marchproxy.kit.breaker import BreakerLimits
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc import ChannelOptions, ChannelPool, ChannelTls
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import ModuleType
from marchproxy.modules.base.registrar import CALL_ERRORS, Registrar

_ASK_SECONDS = 2.0
_log = get_logger(__name__)


def pool_of_nlbs(heartbeat_interval: float, tls: ChannelTls | None, clock: Clock) -> ChannelPool:
    """Channels to NLBs: one that is back after a restart hears of us before it counts three missed heartbeats."""
    soon = heartbeat_interval / 2
    return ChannelPool(
        clock=clock,
        tls=tls,
        breaker_limits=BreakerLimits(open_seconds=min(BreakerLimits().open_seconds, soon)),
        options=ChannelOptions(longest_reconnect=min(ChannelOptions().longest_reconnect, soon)),
    )


class NlbFleet:
    """The registrars of one instance."""

    def __init__(
        self, pool: ChannelPool, module_type: ModuleType, divide: Callable[[int], None] = lambda _: None
    ) -> None:
        """`divide` is told among how many instances limits are divided, whenever that changes."""
        self._divide = divide
        self._size = 0
        self._registrars: tuple[Registrar, ...] = ()
        self._pool = pool
        self._module_type = module_type

    def join(self, registrars: Iterable[Registrar]) -> None:
        """Register with these NLBs, once `run` runs."""
        self._registrars = tuple(registrars)
        for registrar in self._registrars:
            registrar.on_instances = self._look

    async def run(self) -> None:
        """Keep registered with every NLB, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for registrar in self._registrars:
                group.create_task(registrar.run(), name=f"registrar {registrar.nlb}")

    def routes_changed(self) -> None:
        """Tell every NLB of new routes soon."""
        for registrar in self._registrars:
            registrar.hurry()

    def health_changed(self) -> None:
        """Tell every NLB soon that the instance takes traffic, or none."""
        for registrar in self._registrars:
            registrar.hurry()

    @property
    def size(self) -> int:
        """How many instances of the type take traffic, this one included: the most that an NLB knows; 1 before one told."""
        return self._size or 1

    def _look(self) -> None:
        size = max((registrar.instances for registrar in self._registrars), default=0) or 1
        if size != self._size:  # also the first one: the engine may go by what held before a restart
            _log.info("limits are divided anew", instances=size, before=self._size)
            self._size = size
            self._divide(size)

    async def leave(self, drain_seconds: float) -> None:
        """Unregister everywhere, at the same time."""
        async with asyncio.TaskGroup() as group:
            for registrar in self._registrars:
                group.create_task(registrar.unregister(drain_seconds))

    async def instances(self) -> list[types_pb2.ModuleInstance]:
        """Every instance of the type that the first NLB to answer knows; empty when none answers."""
        request = nlb_pb2.ListModulesRequest(module_type_filter=MODULE_TYPES.to_pb(self._module_type))
        for registrar in self._registrars:
            try:
                answer = await self._pool.call(
                    registrar.nlb,
                    nlb_pb2_grpc.NLBServiceStub,
                    lambda stub, left: stub.ListModules(request, timeout=left),
                    timeout=_ASK_SECONDS,
                )
            except CALL_ERRORS as error:
                _log.info("an NLB does not list its modules", nlb=registrar.nlb, reason=str(error))
            else:
                return list(answer.modules)
        return []

    def connected(self) -> dict[str, bool]:
        """Which NLBs have acknowledged the instance."""
        return {registrar.nlb: registrar.registered for registrar in self._registrars}
