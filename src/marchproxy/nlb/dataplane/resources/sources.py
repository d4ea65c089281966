"""Sources: what is done with which clients of a listener, by their address. Pure.

The result is a table of networks of which the longest prefix that holds the client decides, as Envoy's trie does.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.model.listener import Listener

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done with some clients: turned away, or let in under the `limits` of their networks."""

    denied: bool = False
    limits: tuple[RateLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """What is done with the clients of each network, longest prefix first, and with all `others`."""

    others: Treatment = Treatment()
    networks: Mapping[Network, Treatment] = field(default_factory=dict, hash=False)

    def treatments(self) -> tuple[Treatment, ...]:
        """Each one once, that of the others first."""
        return tuple(dict.fromkeys((self.others, *self.networks.values())))


def sort_sources(listener: Listener, limits: Iterable[RateLimit]) -> Sources:
    """What `allow`, `deny` and the limits of scope SOURCE ask for; `deny` goes before `allow`."""
    allow, deny = _networks(listener.allow), _networks(listener.deny)
    limited = [
        (limit.network, limit)
        for limit in limits
        if limit.scope is LimitScope.SOURCE and limit.network is not None
    ]
    named = {*allow, *deny, *(where for where, _ in limited)}

    def treat(where: Network) -> Treatment:
        if _covered(where, deny) or (allow and not _covered(where, allow)):
            return Treatment(denied=True)
        return Treatment(limits=tuple(limit for around, limit in limited if _within(where, around)))

    return Sources(Treatment(denied=bool(allow)), {where: treat(where) for where in sorted(named, key=str)})


@lru_cache(maxsize=4096)
def network(text: str) -> Network:
    """The network that a CIDR or an address alone means. Raises ValueError."""
    return ipaddress.ip_network(text, strict=False)


def _networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(network(text) for text in texts)


def _covered(where: Network, networks: Iterable[Network]) -> bool:
    return any(_within(where, around) for around in networks)


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
