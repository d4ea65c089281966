"""Chains: the clients of a port, divided into those that are treated alike. Pure; filters and counts both follow it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from marchproxy.model.limit import LimitId, LimitScope, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.sharing import Port, Sharing
from marchproxy.nlb.dataplane.resources.sources import Sources, Treatment, sort_sources

_REMEMBERED = 1024  # listeners; whoever counts asks again and again


@dataclass(frozen=True, slots=True)
class Bucket:
    """One rate of a limit: so many new connections each `seconds`, and `size` of them at once."""

    limit: LimitId
    unit: str
    seconds: int
    rate: int
    size: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Clients of one listener that are treated alike: turned away, or let in through these buckets, in this order.

    `name` is the prefix of its statistics as well.
    """

    name: str
    listener: Listener
    denied: bool = False
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """The chains of one listener: how clients are divided by address, and the chain of each treatment."""

    listener: Listener
    sources: Sources
    chains: Mapping[Treatment, Chain] = field(hash=False)


def admit(port: Port, limits: Sequence[RateLimit]) -> tuple[Admission, ...]:
    """How each listener of the port admits its clients. A port shared by request is one: that of its first listener."""
    listeners = port.listeners[:1] if port.sharing is Sharing.REQUEST else port.listeners
    return tuple(_admit(listener, tuple(limits)) for listener in listeners)


@lru_cache(maxsize=_REMEMBERED)
def _admit(listener: Listener, limits: tuple[RateLimit, ...]) -> Admission:
    sources = sort_sources(listener, limits)
    own = sorted((limit for limit in limits if _concerns(limit, listener)), key=_breadth)
    chains = {treatment: _chain(listener, treatment, own) for treatment in sources.treatments()}
    return Admission(listener, sources, chains)


def _concerns(limit: RateLimit, listener: Listener) -> bool:
    subjects = {LimitScope.LISTENER: listener.name, LimitScope.MODULE: listener.module_type.value}
    return subjects.get(limit.scope) == limit.subject


def _breadth(limit: RateLimit) -> tuple[bool, int, str]:
    """Sort key, the narrower first: networks by their length, a listener before all of a module."""
    prefix = limit.network.prefixlen if limit.network is not None else 0
    return (limit.scope is LimitScope.MODULE, -prefix, limit.limit_id)


def _chain(listener: Listener, treatment: Treatment, own: Sequence[RateLimit]) -> Chain:
    if treatment.denied:
        return Chain(f"{listener.name}/denied", listener, denied=True)
    marks = "+".join(limit.limit_id for limit in treatment.limits)
    name = f"{listener.name}/{marks}" if marks else listener.name
    # what the narrow limit refuses must not take tokens from the wide one
    narrow = sorted(treatment.limits, key=_breadth)
    return Chain(name, listener, buckets=tuple(_buckets((*narrow, *own))))


def _buckets(limits: Iterable[RateLimit]) -> Iterable[Bucket]:
    for limit in limits:
        burst = limit.burst or limit.per_second
        rates = (
            ("second", 1, limit.per_second, burst),
            ("minute", 60, limit.per_minute, limit.per_minute),
            ("hour", 3600, limit.per_hour, limit.per_hour),
        )
        for unit, seconds, rate, size in rates:
            if rate:
                yield Bucket(limit.limit_id, unit, seconds, rate, size)
