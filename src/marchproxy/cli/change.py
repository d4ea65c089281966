"""Changes to a running system: the same call to every ALB, or one to the NLB, and what was answered."""

from dataclasses import dataclass

import typer

from marchproxy.contract.fleet.changing import Change
from marchproxy.contract.fleet.client import CallFailed, connected
from marchproxy.contract.pb import types_pb2


async def change_all(nlb: str, change: Change) -> bool:
    """Make the change on every registered ALB and print what each said; whether all did it. Raises CallFailed."""
    async with connected(nlb) as client:
        instances = await client.instances(types_pb2.MODULE_TYPE_ALB)
        if not instances:
            raise CallFailed("no ALB is registered with the NLB")
        done = True
        for instance in instances:
            try:
                answer = await client.module(instance.address, change)
            except CallFailed as error:
                done = _say(instance.instance_id, str(error), success=False)
                continue
            words = answer.message if answer.success else answer.error.message
            done = _say(instance.instance_id, words, success=answer.success) and done
        return done


async def change_nlb(nlb: str, change: Change) -> bool:
    """Make the change of versions on the NLB itself and print what it said; whether it did it. Raises CallFailed."""
    async with connected(nlb) as client:
        answer = await client.nlb_versions(change)
        return _say("nlb", answer.message if answer.success else answer.error.message, success=answer.success)


@dataclass(frozen=True, slots=True)
class Where:
    """What a change of versions is about: backend pools on a route (empty: on all), or modules behind a listener.

    `listener`: its name, `*` for every one; empty: it is about backend pools.
    """

    route: str = ""
    listener: str = ""

    @property
    def target(self) -> str:
        """The `route_id` of the request."""
        return self.listener.removeprefix("*") or self.route


def _say(instance: str, words: str, *, success: bool) -> bool:
    typer.secho(f"{instance}: {words}", fg=None if success else typer.colors.RED, err=not success)
    return success
