"""Asking parts to do something: several, all or none, each answer in words."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marchproxy.contract.fleet.changing import Answer, Change
from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import types_pb2
from marchproxy.manager.operating.targets import NotDone

SECONDS = 10.0
"""How long a part may take."""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who answers the RPCs about versions: a module by its address, or an NLB (address empty)."""

    name: str
    client: Client
    address: str = ""

    async def call(self, change: Change) -> Answer:
        """Raises CallFailed."""
        if self.address:
            return await self.client.module(self.address, change, timeout=SECONDS)
        return await self.client.nlb_versions(change, timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class Refusing:
    """A party that did not do it. `missing`: because it does not know what it is about; `silent`: or it did, and said nothing."""

    name: str
    words: str
    missing: bool = False
    silent: bool = False


async def ask_all(parties: Sequence[Party], change: Change) -> tuple[Mapping[str, str], tuple[Refusing, ...]]:
    """Ask everybody at once: what those said who did it, by name, and who did not."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_one(party, change)) for party in parties]
    answers = [task.result() for task in tasks]
    done = dict([answer for answer in answers if not isinstance(answer, Refusing)])
    return done, tuple(answer for answer in answers if isinstance(answer, Refusing))


async def ask_or_undo(parties: Sequence[Party], change: Change, undo: Change) -> Mapping[str, str]:
    """Ask everybody; when somebody refuses, have those undo it who did it, or may have. Raises NotDone.

    Who does not know what it is about, and is not alone in that, does not count.
    """
    done, refusing = await ask_all(parties, change)
    bad = [one for one in refusing if not (one.missing and done)]
    if not bad:
        return done
    touched = {*done, *(one.name for one in bad if one.silent)}
    await ask_all([party for party in parties if party.name in touched], undo)
    words = "; ".join(f"{one.name}: {one.words}" for one in bad)
    missing = all(one.missing for one in bad)
    raise NotDone(words, found=not missing)


async def _one(party: Party, change: Change) -> tuple[str, str] | Refusing:
    try:
        answer = await party.call(change)
    except CallFailed as error:
        return Refusing(party.name, str(error), silent=True)
    if answer.success:
        return party.name, answer.message
    missing = answer.error.code == types_pb2.STATUS_CODE_NOT_FOUND
    return Refusing(party.name, answer.error.message or answer.message, missing)
