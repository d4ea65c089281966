"""Rollouts: what all parts tell of theirs, put together by what they are on. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from marchproxy.manager.watching.findings import NlbFinding, PartFinding, Promotion
from marchproxy.manager.watching.view import RolloutView, Standing

_BEGINNING = datetime.min.replace(tzinfo=UTC)

#: What it is on ("route", "listener"), its target and its version.
Key = tuple[str, str, str]


def rollouts(
    nlbs: Iterable[NlbFinding], parts: Mapping[str, PartFinding], starters: Mapping[Key, str]
) -> tuple[RolloutView, ...]:
    """Every rollout once, the newest first. Where parts carry out several of one target, the newest is meant."""
    standings: dict[Key, dict[str, Standing]] = {}
    for on, who, promotion in _all(nlbs, parts):
        key = (on, promotion.target, promotion.version)
        standings.setdefault(key, {})[who] = promotion.standing
    newest: dict[tuple[str, str], RolloutView] = {}
    for key, found in standings.items():
        view = _view(key, found, starters.get(key, ""))
        other = newest.get(key[:2])
        if other is None or _time(view) > _time(other):
            newest[key[:2]] = view
    return tuple(sorted(newest.values(), key=_time, reverse=True))


def _all(
    nlbs: Iterable[NlbFinding], parts: Mapping[str, PartFinding]
) -> Iterator[tuple[str, str, Promotion]]:
    for nlb in nlbs:
        for promotion in nlb.promotions:
            yield "listener", nlb.address, promotion
    for name, part in parts.items():
        for promotion in part.promotions:
            yield "route", name, promotion


def _view(key: Key, standings: Mapping[str, Standing], started_by: str) -> RolloutView:
    on, target, version = key
    shown = min(standings.values(), key=_rank)
    return RolloutView(
        on=on,
        target=target,
        version=version,
        phase=shown.phase,
        percent=shown.percent,
        reason=shown.reason,
        updated_at=max((one.updated_at for one in standings.values() if one.updated_at), default=None),
        decisions=shown.decisions,
        standings=standings,
        started_by=started_by,
    )


def _rank(standing: Standing) -> tuple[int, int]:
    """Who has gone back speaks for all, then who is the least far."""
    return ({"rolled_back": 0, "ramping": 1}.get(standing.phase, 2), standing.percent)


def _time(view: RolloutView) -> datetime:
    return view.updated_at or _BEGINNING
