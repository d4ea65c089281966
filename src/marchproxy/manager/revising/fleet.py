"""Fleet: the NLBs that are managed and the modules that they know; what they run, and how they are given another document."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.fleet.takers import Reload, Taker, alive
from marchproxy.contract.pb import module_pb2, nlb_pb2
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc.channels import ChannelPool
from marchproxy.kit.grpc.tls import ChannelTls

_LOOK_SECONDS = 5.0
NLB = "nlb"


@dataclass(frozen=True, slots=True)
class Sight:
    """Who was there at a look: modules first, then NLBs. `silent` says of each NLB that did not answer why."""

    takers: tuple[Taker, ...]
    silent: tuple[str, ...] = ()

    @property
    def blind(self) -> bool:
        """Nobody can say which modules there are."""
        return bool(self.silent) and not self.takers


class Fleet:
    """All parts. Without NLBs there are none: then the document is only kept."""

    def __init__(self, nlbs: Sequence[str], *, clock: Clock, tls: ChannelTls | None = None) -> None:
        """`nlbs` are addresses. Raises SettingsError, for files of TLS that do not serve."""
        self._nlbs = tuple(nlbs)
        self._pool = ChannelPool(clock=clock, tls=tls)
        self._client = Client(nlbs[0] if nlbs else "", self._pool)

    async def look(self) -> Sight:
        """Everybody who can take part, with what they reported last. A module is listed once, whoever knows it."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(address)) for address in self._nlbs]
        answers = [task.result() for task in asked]
        modules: dict[str, Taker] = {}
        for answer in answers:
            if not isinstance(answer, str):
                modules |= {taker.name: taker for taker in answer[1]}
        nlbs = [answer[0] for answer in answers if not isinstance(answer, str)]
        return Sight((*modules.values(), *nlbs), tuple(a for a in answers if isinstance(a, str)))

    def reload(self, takers: Sequence[Taker], *, taken: Callable[[Taker], None] = lambda _: None) -> Reload:
        """What gives these a document."""
        return Reload(self._client, takers, taken=taken)

    async def runs(self, taker: Taker) -> Taker:
        """As it is now, which for a module may be newer than its last report. Raises CallFailed."""
        if taker.is_nlb:
            status = await self._status(taker.address, modules=False)
            return replace(taker, checksum=status.config_checksum)
        request = module_pb2.GetStatusRequest(instance_id=taker.name)
        answer = await self._client.module(
            taker.address, lambda stub, left: stub.GetStatus(request, timeout=left), timeout=_LOOK_SECONDS
        )
        return replace(taker, checksum=answer.instance.config_checksum)

    async def close(self) -> None:
        """Close every channel."""
        await self._pool.close()

    async def _ask(self, address: str) -> tuple[Taker, list[Taker]] | str:
        try:
            status = await self._status(address, modules=True)
        except CallFailed as error:
            return str(error)
        name = status.details.get("id", "") or address
        nlb = Taker(name, address, is_nlb=True, kind=NLB, checksum=status.config_checksum)
        return nlb, list(alive(status.modules))

    async def _status(self, address: str, *, modules: bool) -> nlb_pb2.GetNLBStatusResponse:
        request = nlb_pb2.GetNLBStatusRequest(include_modules=modules)
        return await self._client.nlb(
            lambda stub, left: stub.GetNLBStatus(request, timeout=left),
            timeout=_LOOK_SECONDS,
            address=address,
        )
