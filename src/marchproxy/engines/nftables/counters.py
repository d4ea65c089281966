"""Counters: what the kernel counted, by frontend and endpoint. Pure."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from marchproxy.engines.nftables import names
from marchproxy.engines.nftables.conntrack import EndpointId
from marchproxy.engines.nftables.plan import Plan


@dataclass(frozen=True, slots=True)
class EndpointCounters:
    """Since the endpoint came into the plan: connections sent to it, and IP bytes from and to its clients."""

    connections: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class FrontendCounters:
    """Packets that asked for a connection and got none: refused by CIDR, over a limit, no backend.

    A client that repeats itself (a lost SYN, another datagram) is counted again.
    """

    denied: int
    limited: int
    unserved: int


@dataclass(frozen=True, slots=True)
class LimitCounters:
    """New connections that a limit let through and refused, over all frontends that have it."""

    allowed: int
    denied: int


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading. The values start at zero when a plan is put in force for the first time by this process."""

    frontends: Mapping[str, FrontendCounters] = field(default_factory=dict)
    endpoints: Mapping[EndpointId, EndpointCounters] = field(default_factory=dict)
    limits: Mapping[str, LimitCounters] = field(default_factory=dict)


class Values(Counter[str]):
    """Sums by a counter's name, as `NAME packets` and `NAME bytes`: a limit is counted in the tables of both families."""

    def add_listing(self, listing: bytes) -> None:
        """Add what `nft -j list counters` printed. Raises ValueError, KeyError or TypeError."""
        for item in json.loads(listing)["nftables"]:
            if (found := item.get("counter")) is not None:
                for unit in ("packets", "bytes"):
                    self[f"{found['name']} {unit}"] += int(found[unit])

    def packets(self, prefix: str, what: str) -> int:
        """Of one counter; 0 when it is not there."""
        return self[f"{names.counter(prefix, what)} packets"]

    def bytes(self, prefix: str, what: str) -> int:
        """Of one counter; 0 when it is not there."""
        return self[f"{names.counter(prefix, what)} bytes"]


def assign(plan: Plan, values: Values) -> Counters:
    """The values of this plan's counters."""
    frontends, endpoints, limits = {}, {}, {}
    for frontend in plan.frontends:
        prefix = names.frontend_prefix(frontend.name)
        frontends[frontend.name] = FrontendCounters(
            *(values.packets(prefix, what) for what in names.REFUSALS)
        )
        for limit in frontend.limits:
            prefix = names.limit_prefix(limit.name)
            limits[limit.name] = LimitCounters(*(values.packets(prefix, what) for what in names.RATED))
        for backend in frontend.backends:
            prefix = names.endpoint_prefix(frontend.name, backend)
            endpoint = EndpointId(frontend.name, backend.address, backend.port)
            endpoints[endpoint] = EndpointCounters(
                values.packets(prefix, "new"), values.bytes(prefix, "in"), values.bytes(prefix, "out")
            )
    return Counters(frontends, endpoints, limits)
