"""Reload: a changed file is put in force everywhere, or nowhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marchproxy.contract.document import checksum, encode
from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.model.state import DesiredState

_STATE = "state"
_SECONDS = 30.0
_TAKES_PART = {
    types_pb2.HEALTH_STATUS_HEALTHY,
    types_pb2.HEALTH_STATUS_DEGRADED,
    types_pb2.HEALTH_STATUS_STARTING,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who does not take a document, and why: one line per problem, with its path."""

    who: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taker:
    """A process that runs the document. `is_nlb` says which service it speaks."""

    name: str
    address: str
    is_nlb: bool


class Reload:
    """The takers of a document, asked all together. Modules come first: they must know what the NLB sends them."""

    def __init__(self, client: Client, takers: Sequence[Taker]) -> None:
        self._client = client
        self._takers = takers

    async def check(self, state: DesiredState) -> list[Refusal]:
        """Ask everybody whether they would take it; changes nothing."""
        config = _config(state)
        answers = [await self._offer(taker, config, validate_only=True) for taker in self._takers]
        return [refusal for refusal in answers if refusal is not None]

    async def apply(
        self, state: DesiredState, before: DesiredState, *, retreat: Callable[[], None] = lambda: None
    ) -> list[Refusal]:
        """Put it in force everywhere; when somebody fails, call `retreat` and put `before` back where it was.

        One after the other, and whoever could serve it in part only fails too: the others are never given it.
        """
        config, done = _config(state), list[Taker]()
        for taker in self._takers:
            refusal = await self._offer(taker, config)
            if refusal is None:
                done.append(taker)
                continue
            retreat()
            back = [await self._offer(one, _config(before), is_return=True) for one in (*done, taker)]
            return [refusal, *(failed for failed in back if failed is not None)]
        return []

    async def _offer(
        self,
        taker: Taker,
        config: types_pb2.ConfigUpdate,
        *,
        validate_only: bool = False,
        is_return: bool = False,
    ) -> Refusal | None:
        try:
            answer = await self._call(taker, config, validate_only=validate_only)
        except CallFailed as error:
            return Refusal(taker.name, (str(error),))
        if answer.success and (is_return or not answer.validation_errors):
            return None
        return Refusal(taker.name, tuple(answer.validation_errors) or (answer.error.message,))

    async def _call(
        self, taker: Taker, config: types_pb2.ConfigUpdate, *, validate_only: bool
    ) -> nlb_pb2.UpdateNLBConfigResponse | module_pb2.UpdateConfigResponse:
        if taker.is_nlb:
            to_nlb = nlb_pb2.UpdateNLBConfigRequest(config=config, validate_only=validate_only)
            return await self._client.nlb(
                lambda stub, left: stub.UpdateNLBConfig(to_nlb, timeout=left), timeout=_SECONDS
            )
        request = module_pb2.UpdateConfigRequest(config=config, validate_only=validate_only)
        return await self._client.module(
            taker.address, lambda stub, left: stub.UpdateConfig(request, timeout=left), timeout=_SECONDS
        )


async def registered(client: Client) -> list[Taker]:
    """The modules that the NLB knows and that are alive; replicas and those of other machines are among them."""
    return [
        Taker(instance.instance_id, instance.address, is_nlb=False)
        for instance in await client.instances()
        if instance.health_status in _TAKES_PART
    ]


def _config(state: DesiredState) -> types_pb2.ConfigUpdate:
    data = encode(state)
    return types_pb2.ConfigUpdate(config_type=_STATE, config_data=data, checksum=checksum(data))
