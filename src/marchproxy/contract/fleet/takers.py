"""Takers: a document is put in force everywhere, or nowhere."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from marchproxy.contract.document import checksum, encode
from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState

_STATE = "state"
_SECONDS = 30.0
_AT_ONCE = 8
_PATH = re.compile(r"(?P<path>[\w.-]+(\[\d+\])?[\w.\[\]-]*): (?P<message>.+)", re.DOTALL)
_TAKES_PART = {
    types_pb2.HEALTH_STATUS_HEALTHY,
    types_pb2.HEALTH_STATUS_DEGRADED,
    types_pb2.HEALTH_STATUS_STARTING,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who does not take a document, and why: one line per problem, with its path. `silent`: it did not answer."""

    who: str
    reasons: tuple[str, ...]
    silent: bool = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The reasons, with their paths apart; what is no path of the document stays in the message."""
        found = [(_PATH.fullmatch(reason), reason) for reason in self.reasons]
        return tuple(
            Problem(match["path"], match["message"]) if match else Problem("", reason)
            for match, reason in found
        )


@dataclass(frozen=True, slots=True)
class Taker:
    """A process that runs the document. `is_nlb` says which service it speaks, `kind` what it is: "nlb", "alb", …

    `checksum` is of the document that it reported last; empty: it reported none.
    """

    name: str
    address: str
    is_nlb: bool
    kind: str = ""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A document as it is sent. `checksum` is that of `data`.

    `restated` None: what RPCs changed since the last document is gone. Else traffic shifts and gradual promotions go on,
    but for those of the routes and listeners named in it, of which the document says something new.
    """

    data: bytes
    checksum: str
    restated: tuple[str, ...] | None = None

    @classmethod
    def of(cls, state: DesiredState) -> "Offer":
        """The document of a state, which replaces everything."""
        data = encode(state)
        return cls(data, checksum(data))


class Reload:
    """The takers of a document, asked all together. Modules come first: they must know what the NLB sends them."""

    def __init__(
        self, client: Client, takers: Sequence[Taker], *, taken: Callable[[Taker], None] = lambda _: None
    ) -> None:
        """`taken` is called with everyone that has taken what it was offered, checked or applied."""
        self._client = client
        self._takers = takers
        self._taken = taken

    async def check(self, offer: Offer) -> list[Refusal]:
        """Ask everybody whether they would take it, some at a time; changes nothing."""
        return await self._all(self._takers, lambda taker: self._offer(taker, offer, validate_only=True))

    async def apply(
        self, offer: Offer, before: Offer, *, retreat: Callable[[], None] = lambda: None
    ) -> list[Refusal]:
        """Put it in force everywhere; when somebody fails, call `retreat` and put `before` back where it was.

        In waves, the first of each kind by itself; and whoever could serve it in part only fails too. Later waves are
        never given it.
        """
        done = list[Taker]()
        for wave in waves(self._takers):
            refusals = await self._all(wave, lambda taker: self._offer(taker, offer))
            done += wave
            if refusals:
                retreat()
                return [*refusals, *await self.put_back(before, done)]
        return []

    async def put_back(self, before: Offer, takers: Iterable[Taker]) -> list[Refusal]:
        """Have these run what they ran before, in whole or in part; returns whoever does not."""
        return await self._all(takers, lambda taker: self._offer(taker, before, is_return=True))

    async def _all(
        self, takers: Iterable[Taker], ask: Callable[[Taker], Awaitable[Refusal | None]]
    ) -> list[Refusal]:
        """Ask some at a time: each is sent the whole document."""
        free = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(taker: Taker) -> Refusal | None:
            async with free:
                return await ask(taker)

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(in_turn(taker)) for taker in takers]
        return [refusal for task in asked if (refusal := task.result()) is not None]

    async def _offer(
        self, taker: Taker, offer: Offer, *, validate_only: bool = False, is_return: bool = False
    ) -> Refusal | None:
        try:
            answer = await self._call(taker, offer, validate_only=validate_only)
        except CallFailed as error:
            return Refusal(taker.name, (str(error),), silent=True)
        if answer.success and (is_return or not answer.validation_errors):
            self._taken(taker)
            return None
        return Refusal(taker.name, tuple(answer.validation_errors) or (answer.error.message,))

    async def _call(
        self, taker: Taker, offer: Offer, *, validate_only: bool
    ) -> nlb_pb2.UpdateNLBConfigResponse | module_pb2.UpdateConfigResponse:
        config = types_pb2.ConfigUpdate(config_type=_STATE, config_data=offer.data, checksum=offer.checksum)
        keep, restated = offer.restated is not None, offer.restated or ()
        if taker.is_nlb:
            to_nlb = nlb_pb2.UpdateNLBConfigRequest(
                config=config, validate_only=validate_only, keep_shifts=keep, restated=restated
            )
            return await self._client.nlb(
                lambda stub, left: stub.UpdateNLBConfig(to_nlb, timeout=left),
                timeout=_SECONDS,
                address=taker.address,
            )
        request = module_pb2.UpdateConfigRequest(
            config=config, validate_only=validate_only, keep_shifts=keep, restated=restated
        )
        return await self._client.module(
            taker.address, lambda stub, left: stub.UpdateConfig(request, timeout=left), timeout=_SECONDS
        )


def waves(takers: Sequence[Taker]) -> list[list[Taker]]:
    """The first module of each kind by itself, which shows whether such a module takes it; the other modules; NLB after NLB."""
    modules = [taker for taker in takers if not taker.is_nlb]
    kinds = {taker.kind: taker for taker in reversed(modules)}
    first = [taker for taker in modules if kinds[taker.kind] is taker]
    others = [taker for taker in modules if kinds[taker.kind] is not taker]
    nlbs = [[taker] for taker in takers if taker.is_nlb]
    return [*([taker] for taker in first), *([others] if others else []), *nlbs]


async def registered(client: Client) -> list[Taker]:
    """The modules that the NLB knows and that are alive; replicas and those of other machines are among them."""
    return list(alive(await client.instances()))


def alive(instances: Iterable[types_pb2.ModuleInstance]) -> Iterable[Taker]:
    """Those that can take part."""
    return (
        Taker(
            instance.instance_id,
            instance.address,
            is_nlb=False,
            kind=types_pb2.ModuleType.Name(instance.module_type).removeprefix("MODULE_TYPE_").lower(),
            checksum=instance.config_checksum,
        )
        for instance in instances
        if instance.health_status in _TAKES_PART
    )
