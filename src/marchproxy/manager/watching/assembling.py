"""Assembling: the findings of all NLBs and modules as one view. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.manager.watching.counters import together
from marchproxy.manager.watching.findings import NlbFinding, PartFinding, health_of, kind_of, moment
from marchproxy.manager.watching.pools import Pools
from marchproxy.manager.watching.rollouts import rollouts
from marchproxy.manager.watching.view import (
    LimitView,
    ListenerView,
    LiveView,
    NlbView,
    PartView,
    Rates,
    ScalingView,
)
from marchproxy.model.module import HealthStatus, ModuleType
from marchproxy.model.revision import RevisionHead

_MOST_DECISIONS = 500
_TROUBLE = "nlb.trouble."


@dataclass(frozen=True, slots=True)
class Seen:
    """All findings at one moment. `head` is the revision that everybody should run, `starters` who began which rollout by
    what it is on, its target and its version."""

    nlbs: Sequence[NlbFinding]
    parts: Mapping[str, PartFinding]
    now: datetime
    head: RevisionHead | None = None
    starters: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    anew: bool = True
    """Pools are put together again, which may take a while."""

    @property
    def current(self) -> str:
        """The checksum of what everybody should run; empty: not known."""
        return "" if self.head is None else self.head.checksum


def assemble(before: LiveView, seen: Seen, pools: Pools) -> LiveView:
    """The next view. `before` tells since when somebody has run something else than everybody should."""
    known = {part.id: part for part in before.parts}
    parts = tuple(_parts(seen, known))
    told = {part.id: seen.parts[part.id] for part in parts if part.id in seen.parts}
    by_route: dict[str, list[Rates]] = {}
    for finding in told.values():
        for route, rates in finding.served.routes.items():
            by_route.setdefault(route, []).append(rates)
    listeners = tuple(_listeners(seen.nlbs))
    return LiveView(
        version=before.version + 1,
        at=max((nlb.at for nlb in seen.nlbs if nlb.at is not None), default=None),
        looked_at=seen.now,
        head=seen.head,
        current=seen.current,
        total=together([finding.served.total for finding in told.values()]),
        connections=sum(listener.connections for listener in listeners),
        nlbs=tuple(_nlb(nlb, seen.current) for nlb in seen.nlbs),
        parts=parts,
        listeners=listeners,
        routes={route: together(rates) for route, rates in by_route.items()},
        pools=pools.of(told, anew=seen.anew),
        rollouts=rollouts(seen.nlbs, told, seen.starters),
        scaling=tuple(_scaling(seen.nlbs)),
        limits=tuple(_limits(seen.nlbs)),
    )


def _nlb(nlb: NlbFinding, current: str) -> NlbView:
    status = nlb.status
    if status is None:
        return NlbView(nlb.address, last_seen=nlb.at, failure=nlb.failure)
    facts = dict(status.details)
    return NlbView(
        address=nlb.address,
        id=facts.pop("id", ""),
        health=health_of(status.status),
        message=facts.get("plan", ""),
        version=status.version,
        started_at=moment(status.started_at),
        checksum=status.config_checksum,
        is_current=bool(current) and status.config_checksum == current,
        connections=status.active_connections,
        accepted=sum(nlb.traffic.rate("connections_total", one.name) for one in status.listeners),
        last_seen=nlb.at,
        failure=nlb.failure,
        facts=facts,
    )


def _parts(seen: Seen, known: Mapping[str, PartView]) -> list[PartView]:
    """Every instance that an NLB has, once, by kind and id."""
    views: dict[str, PartView] = {}
    for nlb in seen.nlbs:
        for instance in nlb.status.modules if nlb.status is not None else ():
            kind = kind_of(instance.module_type)
            if kind is not None and instance.instance_id not in views:
                views[instance.instance_id] = _part(instance, kind, nlb, seen, known)
    return sorted(views.values(), key=lambda part: (part.kind.value, part.id))


def _part(
    instance: types_pb2.ModuleInstance,
    kind: ModuleType,
    nlb: NlbFinding,
    seen: Seen,
    known: Mapping[str, PartView],
) -> PartView:
    finding = seen.parts.get(instance.instance_id, PartFinding())
    health = health_of(instance.health_status)
    heard = moment(instance.last_heartbeat) if instance.HasField("last_heartbeat") else None
    is_current = bool(seen.current) and instance.config_checksum == seen.current
    old = known.get(instance.instance_id)
    return PartView(
        id=instance.instance_id,
        kind=kind,
        version=instance.version,
        address=instance.address,
        health=health,
        checksum=instance.config_checksum,
        is_current=is_current,
        behind_since=None if is_current else (old.behind_since if old else None) or seen.now,
        connections=finding.connections if finding.at else instance.current_connections,
        max_connections=instance.max_connections,
        stats=finding.served.total,
        cpu=finding.cpu,
        memory=finding.memory,
        since=moment(instance.started_at) if instance.HasField("started_at") else None,
        last_seen=max((at for at in (finding.at, heard) if at is not None), default=None),
        nlb=nlb.address,
        zone=instance.metadata.get("zone", ""),
        draining=health is HealthStatus.STOPPING,
        troubles=tuple(words for key, words in sorted(instance.metadata.items()) if key.startswith(_TROUBLE)),
        silent=finding.failure,
        traffic=tuple(endpoint.address for endpoint in instance.traffic_endpoints),
        facts=finding.facts,
    )


def _listeners(nlbs: Iterable[NlbFinding]) -> Iterator[ListenerView]:
    """Each listener, over the NLBs that have it; what it is, as the first of them says."""
    first: dict[str, nlb_pb2.Listener] = {}
    having: dict[str, list[NlbFinding]] = {}
    for nlb in nlbs:
        for listener in nlb.status.listeners if nlb.status is not None else ():
            first.setdefault(listener.name, listener)
            having.setdefault(listener.name, []).append(nlb)
    for name, listener in first.items():
        yield _listener(listener, having[name])


def _listener(listener: nlb_pb2.Listener, nlbs: Sequence[NlbFinding]) -> ListenerView:
    name = listener.name

    def rate(metric: str) -> float:
        return sum(nlb.traffic.rate(metric, name) for nlb in nlbs)

    return ListenerView(
        name=name,
        address=listener.address,
        protocol=types_pb2.Protocol.Name(listener.protocol).removeprefix("PROTOCOL_").lower(),
        module_type=types_pb2.ModuleType.Name(listener.module_type).removeprefix("MODULE_TYPE_").lower(),
        plane=listener.data_plane,
        weights=dict(listener.version_weights),
        connections=int(sum(nlb.traffic.of("connections_active", name) for nlb in nlbs)),
        accepted=rate("connections_total"),
        failed=rate("connections_failed_total"),
        denied=rate("connections_denied_total"),
        received=rate("bytes_received_total"),
        sent=rate("bytes_sent_total"),
        instances=_connections_by_instance(name, nlbs),
    )


def _connections_by_instance(listener: str, nlbs: Iterable[NlbFinding]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for nlb in nlbs:
        for key, value in nlb.traffic.values.items():
            if key[0] == "instance_connections_active" and key[2] == listener:
                found[key[1]] = found.get(key[1], 0) + int(value)
    return found


def _scaling(nlbs: Iterable[NlbFinding]) -> list[ScalingView]:
    """Of all NLBs, the newest first."""
    found = [
        ScalingView(
            module_type=types_pb2.ModuleType.Name(one.module_type).removeprefix("MODULE_TYPE_").lower(),
            at=moment(one.decided_at),
            way=one.way,
            current=one.current_instances,
            wanted=one.wanted_instances,
            reason=one.reason,
            outcome=one.outcome,
            manual=one.manual,
            nlb=nlb.address,
        )
        for nlb in nlbs
        if nlb.status is not None
        for one in nlb.status.scaling
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:_MOST_DECISIONS]


def _limits(nlbs: Sequence[NlbFinding]) -> Iterator[LimitView]:
    names = dict.fromkeys(
        key[1] for nlb in nlbs for key in nlb.traffic.values if key[0] == "limit_allowed_total"
    )
    for name in names:
        yield LimitView(
            name,
            sum(nlb.traffic.rate("limit_allowed_total", name) for nlb in nlbs),
            sum(nlb.traffic.rate("limit_denied_total", name) for nlb in nlbs),
        )
