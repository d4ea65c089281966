"""Weights: items of the document with other shares of versions. Pure."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from marchproxy.contract.document import encode
from marchproxy.manager.operating.targets import NotDone, Target
from marchproxy.manager.watching import LiveView
from marchproxy.model.listener import Listener
from marchproxy.model.module import Version
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import Route, VersionWeight
from marchproxy.model.state import DesiredState
from marchproxy.model.versions import current_split, set_version_weight
from marchproxy.model.weights import split

#: The section of the document that a target is in.
SECTIONS = {"route": "routes", "listener": "listeners"}


def route_of(state: DesiredState, name: str) -> Route:
    """Raises NotDone when there is none of that name."""
    found = next((route for route in state.routes if route.route_id == name), None)
    if found is None:
        raise NotDone(f'there is no route "{name}"', found=False)
    return found


def listener_of(state: DesiredState, name: str) -> Listener:
    """Raises NotDone when there is none of that name."""
    found = next((listener for listener in state.listeners if listener.name == name), None)
    if found is None:
        raise NotDone(f'there is no listener "{name}"', found=False)
    return found


def share_of(state: DesiredState, target: Target, version: str) -> int:
    """Percent that a version is desired to have. Raises NotDone, Refused."""
    if target.on == "route":
        route_of(state, target.name)
        return current_split(state, target.name).share(Version(version))
    weights = listener_of(state, target.name).version_weights
    return next((one.weight for one in weights if one.version == version), 0)


def reweighed(
    state: DesiredState, view: LiveView, target: Target, version: str, percent: int
) -> Mapping[str, Any]:
    """The plain item of a route or a listener with this share for a version, and the rest for the others as they share it.

    Raises NotDone, Refused.
    """
    if target.on == "route":
        route_of(state, target.name)
        changed = set_version_weight(state, Version(version), percent, target.name)
        return _plain(DesiredState(routes=(route_of(changed, target.name),)), "routes")
    listener = listener_of(state, target.name)
    weights = _weights_of_listener(listener, view, version, percent)
    return _plain(DesiredState(listeners=(replace(listener, version_weights=weights),)), "listeners")


def _weights_of_listener(
    listener: Listener, view: LiveView, version: str, percent: int
) -> tuple[VersionWeight, ...]:
    if not 0 <= percent <= 100:
        raise Refused(RefusalCode.INVALID_ARGUMENT, f"weight: {percent} is not between 0 and 100")
    ready = {
        part.version: 1
        for part in view.parts
        if part.kind is listener.module_type and part.health is not None and part.health.takes_traffic
    }
    shares = {str(one.version): one.weight for one in listener.version_weights} or ready
    if percent and version not in ready:
        raise NotDone(f'no instance of version "{version}" is ready to take {percent} % of {listener.name}')
    others = {key: share for key, share in shares.items() if key != version and key in ready}
    if not any(others.values()):
        others = dict.fromkeys(others or (key for key in ready if key != version), 1)
    if percent < 100 and not others:
        raise NotDone(f"no instance of another version is ready to take {100 - percent} % of {listener.name}")
    given = dict(zip(others, split(100 - percent, list(others.values())), strict=True)) | {version: percent}
    order = dict.fromkeys([*shares, *others, version])
    return tuple(VersionWeight(Version(key), given.get(key, 0)) for key in order)


def _plain(state: DesiredState, section: str) -> Mapping[str, Any]:
    items: list[Mapping[str, Any]] = json.loads(encode(state))[section]
    return items[0]
