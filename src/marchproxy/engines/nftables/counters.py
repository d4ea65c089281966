"""Counters: what the kernel counted, by frontend and endpoint. Pure."""

import json
from collections.abc import Iterator, Mapping
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
class Counters:
    """One reading. The values start at zero when a plan is put in force for the first time by this process."""

    frontends: Mapping[str, FrontendCounters] = field(default_factory=dict)
    endpoints: Mapping[EndpointId, EndpointCounters] = field(default_factory=dict)


def parse_counters(listing: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name → packets and bytes, from `nft -j list counters`. Raises ValueError, KeyError or TypeError."""
    for item in json.loads(listing)["nftables"]:
        if (found := item.get("counter")) is not None:
            yield found["name"], (int(found["packets"]), int(found["bytes"]))


def assign(plan: Plan, values: Mapping[str, tuple[int, int]]) -> Counters:
    """The values of this plan's counters; one that is missing counts as zero."""
    nothing = (0, 0)
    frontends, endpoints = {}, {}
    for frontend in plan.frontends:
        chain = names.frontend_chain(frontend.name)
        refused = (values.get(names.counter(chain, what), nothing)[0] for what in names.REFUSALS)
        frontends[frontend.name] = FrontendCounters(*refused)
        for backend in frontend.backends:
            chain = names.endpoint_chain(frontend, backend)
            new, received, sent = (values.get(names.counter(chain, what), nothing) for what in names.FLOWS)
            endpoint = EndpointId(frontend.name, backend.address, backend.port)
            endpoints[endpoint] = EndpointCounters(new[0], received[1], sent[1])
    return Counters(frontends, endpoints)
