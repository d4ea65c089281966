"""Isolation: a document of which Envoy refuses a part is served without that part."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from marchproxy.engines.envoy.validation import Fault, search_among
from marchproxy.engines.envoy.xds.snapshot import Snapshot
from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.blame import Blame, Item, ItemKind, blame, is_meant, pool_blame, route_blame
from marchproxy.modules.http.mixture import Inputs, changes, is_only_found, mixture, with_findings_of
from marchproxy.modules.http.publication import Rejected
from marchproxy.modules.http.quarantine import Blameless, Quarantine

_log = get_logger(__name__)
_MOST_ROUNDS = 12  # of publishing, finding out who is to blame, and holding that back
_MOST_QUESTIONS = 400


class Publishes(Protocol):
    """How inputs get to an Envoy, or to several."""

    def build(self, inputs: Inputs) -> Snapshot:
        """The snapshot of some inputs. Raises Refused."""
        ...

    async def judge(self, inputs: Inputs) -> Snapshot:
        """Have them judged beforehand. Raises Rejected, Refused."""
        ...

    async def publish(self, snapshot: Snapshot) -> None:
        """Return when it runs. Raises Rejected, Refused; then what ran before does."""
        ...


class Isolation:
    """Publishes as much of a document as Envoy takes."""

    def __init__(self, publication: Publishes) -> None:
        self._publication = publication

    async def serve(self, before: Inputs, after: Inputs, held: Quarantine) -> tuple[Inputs, Quarantine]:
        """Publish `after` without what Envoy refuses, `held` to begin with; return what it runs, and what it does not.

        `before` is what it ran; none of that is lost meanwhile. Raises Refused when no item is to blame, or too many
        are: Envoy then has any part of it.
        """
        for _ in range(_MOST_ROUNDS):
            offered = replace(after, state=held.applied(after.state))
            try:
                await self._publication.publish(await self._publication.judge(offered))
            except Rejected as rejected:
                blames = await self._culprits(before, offered, after.state, rejected)
                after, blames = _with_known_findings(before, after, blames)
                held = _extended(held, blames, after)
                continue
            for item, why in held.held.items():
                _log.error("quarantined", item=str(item), path=why.problem.path, reason=why.problem.message)
            return offered, held
        raise Refused(RefusalCode.INVALID_ARGUMENT, f"{held.problems[0]} (and more)", held.problems)

    async def _culprits(
        self, before: Inputs, offered: Inputs, document: DesiredState, rejected: Rejected
    ) -> Sequence[Blame]:
        """Who is to blame: Envoy said so, or it is found out by publishing parts of what is offered."""
        blames = blame(rejected.faults, document, rejected.snapshot)
        if rejected.beforehand or all(found.item is not None for found in blames):
            return blames
        reasons = await self._search(before, offered, rejected.faults[0])
        return [_blame_of(item, document, reason) for item, reason in reasons.items()]

    async def _search(self, before: Inputs, offered: Inputs, fault: Fault) -> dict[Item, Fault]:
        """The culprits, and what Envoy said of each."""
        if await self._ask(mixture(before, offered, ())) is not None:  # what no item is responsible for
            raise Refused(RefusalCode.INVALID_ARGUMENT, f"Envoy refused it: {fault.message}")
        search = search_among(
            changes(before, offered), _meant(offered, changes(before, offered), fault.message), known_bad=True
        )
        reasons: dict[Item, Fault] = {}
        for _ in range(_MOST_QUESTIONS):
            if not search.question:
                break
            answer = await self._ask(mixture(before, offered, {*search.good, *search.question}))
            if answer is not None:
                reasons.update(dict.fromkeys(search.question, answer))
            likely = () if answer is None else _meant(offered, search.question, answer.message)
            search = search.answered(sound=answer is None, likely=likely)
        if search.question or not search.culprits:
            raise Refused(RefusalCode.INVALID_ARGUMENT, f"Envoy refused it: {fault.message}")
        return {item: reasons.get(item, fault) for item in search.culprits}

    async def _ask(self, inputs: Inputs) -> Fault | None:
        """Why Envoy does not take these; None: it runs them now."""
        try:
            await self._publication.publish(self._publication.build(inputs))
        except Rejected as rejected:
            return rejected.faults[0]
        return None


def _extended(quarantine: Quarantine, blames: Sequence[Blame], after: Inputs) -> Quarantine:
    try:
        return quarantine.extended(blames, after.state)
    except Blameless as error:
        problems = tuple(found.problem for found in blames)
        raise Refused(RefusalCode.INVALID_ARGUMENT, str(error.problem), problems) from error


def _with_known_findings(
    before: Inputs, after: Inputs, blames: Sequence[Blame]
) -> tuple[Inputs, Sequence[Blame]]:
    """Where only what was found for a pool is refused, endpoints or files, what was found before goes on."""
    rest: list[Blame] = []
    for found in blames:
        item = found.item
        if item is None or not is_only_found(item, before, after):
            rest.append(found)
            continue
        _log.error("what was found for a pool is not used", pool=item.name, reason=found.problem.message)
        after = with_findings_of(before, after, item)
    return after, rest


def _meant(inputs: Inputs, items: Sequence[Item], message: str) -> list[Item]:
    """The routes among `items` that Envoy's words seem to be about."""
    routes = inputs.state.routes_by_id()
    wanted = {item.name for item in items if item.kind is ItemKind.ROUTE}
    return [
        Item(ItemKind.ROUTE, name)
        for name, route in routes.items()
        if name in wanted and is_meant(route, message)
    ]


def _blame_of(item: Item, document: DesiredState, fault: Fault) -> Blame:
    if item.kind is ItemKind.ROUTE:
        places = {str(route.route_id): index for index, route in enumerate(document.routes)}
        return route_blame(places[item.name], document.routes[places[item.name]], fault.message)
    places = {str(pool.name): index for index, pool in enumerate(document.pools)}
    return pool_blame(places[item.name], document.pools[places[item.name]], fault)
