"""Versions: how a listener's new connections are split between the versions of the modules behind it. Pure.

`target` is a listener's name, or empty: every listener whose modules come in that version. Shares are percent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, ModuleInstance, Version
from marchproxy.model.plan import Verdict, compile_plan
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import VersionWeight
from marchproxy.model.weights import Split, split


@dataclass(frozen=True, slots=True)
class Fleet:
    """The instances there are, as the NLB sees them, and what they answered to CanHandle."""

    instances: Sequence[ModuleInstance]
    verdicts: Mapping[tuple[InstanceId, str], Verdict]

    def ready(self, listener: Listener) -> dict[Version, int]:
        """The versions that could take connections of the listener now, with the weight of their instances."""
        (plan,) = compile_plan(
            [replace(listener, version_weights=())], self.instances, self.verdicts
        ).listeners
        return {version.version: version.weight for version in plan.versions}

    def known(self, listener: Listener) -> set[Version]:
        """The versions that the listener names, or that an instance of its module has, ready or not."""
        named = {share.version for share in listener.version_weights}
        return named | self._registered(listener)

    def shares(self, listener: Listener) -> dict[Version, int]:
        """The relative shares now: the listener's own, or those that its instances' weights make."""
        own = {share.version: share.weight for share in listener.version_weights}
        return own or self.ready(listener)

    def _registered(self, listener: Listener) -> set[Version]:
        return {i.version for i in self.instances if i.module_type is listener.module_type}

    def shifted(self, listener: Listener, version: Version, percent: int) -> Listener:
        """The listener with this share for `version`, and the rest for the others in their present proportions.

        Raises Refused where nobody is ready to take what one side is given.
        """
        ready, shares = self.ready(listener), self.shares(listener)
        if percent and version not in ready:
            raise Refused(RefusalCode.UNAVAILABLE, not_ready(version, listener))
        rest = _takers({key: share for key, share in shares.items() if key != version}, ready, version)
        if percent < 100 and not rest:
            message = f'listener "{listener.name}": no instance of another version is ready to take {100 - percent} %'
            raise Refused(RefusalCode.UNAVAILABLE, message)
        given = dict(zip(rest, split(100 - percent, list(rest.values())), strict=True)) | {version: percent}
        registered = self._registered(listener)
        order = dict.fromkeys([*shares, *sorted(ready), version])
        weights = [VersionWeight(key, given.get(key, 0)) for key in order]
        kept = tuple(share for share in weights if share.weight or share.version in registered)
        return replace(listener, version_weights=kept)


def not_ready(version: Version, listener: Listener) -> str:
    """Why a version cannot be given traffic."""
    return f'listener "{listener.name}": no instance of version "{version}" is ready to take connections'


def concerned(
    listeners: Sequence[Listener], fleet: Fleet, version: Version, target: str
) -> tuple[Listener, ...]:
    """The listeners that a shift of `version` is about. Raises Refused when there are none."""
    if target:
        (listener,) = named(listeners, target)
        if version not in fleet.known(listener):
            raise _unknown(version, fleet.known(listener))
        return (listener,)
    having = [listener for listener in listeners if version in fleet.known(listener)]
    if not having:
        raise _unknown(version, {known for listener in listeners for known in fleet.known(listener)})
    # a listener where it is alone has nothing to shift, unless there is nothing else
    return tuple(listener for listener in having if len(fleet.known(listener)) > 1) or tuple(having)


def named(listeners: Sequence[Listener], target: str) -> tuple[Listener, ...]:
    """The listener of that name, or all of them. Raises Refused."""
    found = tuple(listener for listener in listeners if target in {"", listener.name})
    if target and not found:
        names = ", ".join(listener.name for listener in listeners) or "none"
        raise Refused(RefusalCode.NOT_FOUND, f'route_id: no listener "{target}"; listeners: {names}')
    return found


def set_version_weight(
    listeners: Sequence[Listener], fleet: Fleet, version: Version, percent: int, target: str
) -> tuple[Listener, ...]:
    """All listeners, those concerned with this share for `version`. Raises Refused; then none is changed."""
    if not 0 <= percent <= 100:
        raise Refused(RefusalCode.INVALID_ARGUMENT, f"weight: {percent} is not between 0 and 100")
    shifted = {
        listener.name: fleet.shifted(listener, version, percent)
        for listener in concerned(listeners, fleet, version, target)
    }
    return tuple(shifted.get(listener.name, listener) for listener in listeners)


def current_split(listeners: Sequence[Listener], fleet: Fleet, target: str) -> Split:
    """The split of one listener, or the mean over those with several versions. Raises Refused for an unknown one."""
    splits = [Split.of(fleet.shares(listener)) for listener in named(listeners, target)]
    several = [found for found in splits if len(found.shares) > 1] or splits
    totals: dict[Version, int] = {}
    for found in several:
        for version, share in found.shares:
            totals[version] = totals.get(version, 0) + share
    return Split.of(totals)


def _takers(
    others: Mapping[Version, int], ready: Mapping[Version, int], version: Version
) -> Mapping[Version, int]:
    """Who takes the rest: those that have a share, if one of them is ready; else whoever is."""
    sharing = {key: share for key, share in others.items() if share}
    if sharing.keys() & ready.keys():
        return sharing
    return {key: weight for key, weight in ready.items() if key != version}


def _unknown(version: Version, known: set[Version]) -> Refused:
    there = ", ".join(sorted(known)) or "none"
    return Refused(RefusalCode.NOT_FOUND, f'version: no module has version "{version}"; versions: {there}')
