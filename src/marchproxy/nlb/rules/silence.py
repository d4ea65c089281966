"""Silence: when no instance of a type is heard, is it they who are gone, or this NLB that is cut off? Pure. See ADR 10.

Heartbeats alone cannot tell. So the last instances of a type are probed before they lose their traffic, and when nobody
is heard and nobody answers, nothing is changed: what was forwarded to may well be alive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from marchproxy.model.module import InstanceId
from marchproxy.nlb.state.member import Member, Moment, Standing
from marchproxy.nlb.state.registry import Patience, Registry, silence

#: Who has just been overdue was heard up to one interval before everybody else; half of one is for delays.
_SPREAD_INTERVALS = 1.5


class Echo(Enum):
    """What a probe came back with. REFUSED: its host says that nobody listens there, or the module that it is unwell."""

    ANSWERED = "answered"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Finding:
    """Which overdue members keep their traffic, and why; `cut_off`: nobody is heard and nobody answers."""

    reprieved: Mapping[InstanceId, str] = field(default_factory=dict)
    cut_off: bool = False


def suspects(registry: Registry, now: Moment, patience: Patience) -> list[Member]:
    """Members that are about to lose their traffic while nobody else of their type is heard: these are probed."""
    staying = [member for member in registry.members.values() if member.standing is not Standing.LEAVING]
    served = {
        member.instance.module_type
        for member in staying
        if _is_punctual(member, now, patience) and member.instance.health.takes_traffic
    }
    return [
        member
        for member in staying
        if member.standing is not Standing.MISSING
        and member.instance.module_type not in served
        and silence(member, now, patience) >= patience.missed_unhealthy
    ]


def weigh(registry: Registry, echoes: Mapping[str, Echo], now: Moment, patience: Patience) -> Finding:
    """Who of the suspects is kept; `echoes` by registration id, a suspect without one has not been probed yet."""
    found = suspects(registry, now, patience)
    heard = any(_is_punctual(member, now, patience) for member in registry.members.values())
    known = [echoes[member.registration_id] for member in found if member.registration_id in echoes]
    alone = not heard and bool(known) and all(echo is Echo.SILENT for echo in known)
    kept: dict[InstanceId, str] = {}
    for member in found:
        match echoes.get(member.registration_id):
            case None:
                kept[member.instance.instance_id] = "its heartbeats are overdue; it is being probed"
            case Echo.ANSWERED:
                kept[member.instance.instance_id] = "its heartbeats do not arrive, but it answers"
            case Echo.SILENT if alone:
                kept[member.instance.instance_id] = "nobody is heard and nobody answers: the last plan stays"
            case Echo.SILENT | Echo.REFUSED:
                pass
    return Finding(kept, alone)


def _is_punctual(member: Member, now: Moment, patience: Patience) -> bool:
    if member.standing is Standing.PROVISIONAL:
        return False  # it was remembered, not heard
    return silence(member, now, patience) < max(1.0, patience.missed_unhealthy - _SPREAD_INTERVALS)
