"""Sources: what is done with which clients of a listener, by their address. Pure.

The result is a table of networks of which the longest prefix that holds the client decides, as Envoy's trie does.
"""

import ipaddress
from collections.abc import Iterable, Mapping
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
    allow, deny = set(map(network, listener.allow)), set(map(network, listener.deny))
    limited: dict[Network, list[RateLimit]] = {}
    for limit in limits:
        if limit.scope is LimitScope.SOURCE and limit.network is not None:
            limited.setdefault(limit.network, []).append(limit)
    named = {*allow, *deny, *limited}
    lengths = {version: _lengths(named, version) for version in (4, 6)}

    def treat(where: Network) -> Treatment:
        around = [where.supernet(new_prefix=n) for n in lengths[where.version] if n <= where.prefixlen]
        if not deny.isdisjoint(around) or (allow and allow.isdisjoint(around)):
            return Treatment(denied=True)
        return Treatment(limits=tuple(limit for each in around for limit in limited.get(each, ())))

    return Sources(Treatment(denied=bool(allow)), {where: treat(where) for where in sorted(named, key=str)})


@lru_cache(maxsize=4096)
def network(text: str) -> Network:
    """The network that a CIDR or an address alone means. Raises ValueError."""
    return ipaddress.ip_network(text, strict=False)


def _lengths(networks: Iterable[Network], version: int) -> list[int]:
    """The prefix lengths that occur: of thousands of networks only so many can be around another."""
    return sorted({each.prefixlen for each in networks if each.version == version})
