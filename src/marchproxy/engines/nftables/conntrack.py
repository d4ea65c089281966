"""Conntrack: the kernel's table of connections, read as values and joined with a plan. Pure.

The listing is that of conntrack(8): two tuples per flow, what the client asked for and who answers.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from marchproxy.engines.nftables.plan import Backend, Frontend, Plan, Protocol

_TUPLE = re.compile(rb"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")
_TCP_STATE = re.compile(rb" (ESTABLISHED|SYN_RECV|FIN_WAIT|CLOSE_WAIT) ")


@dataclass(frozen=True, slots=True)
class EndpointId:
    """A backend of a frontend, as the plan names them."""

    frontend: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection: `asked` by the client, `answering` the other side. `live`: answered and not ending (TCP)."""

    protocol: Protocol
    asked: tuple[str, int]
    answering: tuple[str, int]
    live: bool


def parse_flows(lines: Iterable[bytes], protocol: Protocol) -> Iterator[Flow]:
    """The flows of `conntrack -L -p PROTOCOL`; lines that are none are passed over."""
    for line in lines:
        tuples = _TUPLE.findall(line)
        if len(tuples) != 2:
            continue
        (_, destination, _, dport), (answers, _, sport, _) = tuples
        live = b"[UNREPLIED]" not in line if protocol is Protocol.UDP else bool(_TCP_STATE.search(line))
        yield Flow(protocol, (destination.decode(), int(dport)), (answers.decode(), int(sport)), live)


class Index:
    """Finds the frontend and the backend of a flow. `own` are this host's addresses, which wildcards answer to."""

    def __init__(self, plan: Plan, own: Collection[str] = ()) -> None:
        self._own = frozenset(own)
        self._frontends: dict[tuple[Protocol, str, int], Frontend] = {}
        self._backends: dict[str, dict[tuple[str, int], Backend]] = {}
        for frontend in plan.frontends:
            self._frontends[frontend.protocol, _plain(frontend.address), frontend.port] = frontend
            self._backends[frontend.name] = {
                (_plain(backend.address), backend.port): backend for backend in frontend.backends
            }

    def frontend(self, flow: Flow) -> Frontend | None:
        """Who was asked, if it was one of ours."""
        address, port = flow.asked
        exact = self._frontends.get((flow.protocol, address, port))
        if exact is not None or address not in self._own:
            return exact
        return self._frontends.get((flow.protocol, _any(address), port))

    def backend(self, frontend: Frontend, flow: Flow) -> Backend | None:
        """Who answers, if it is a backend of this frontend, draining ones included."""
        known = self._backends[frontend.name]
        address, port = flow.answering
        exact = known.get((address, port))
        if exact is not None or address not in self._own:
            return exact
        return known.get((_any(address), port))


def count_live(flows: Iterable[Flow], index: Index, into: Counter[EndpointId]) -> None:
    """Add the live flows of each endpoint to `into`."""
    for flow in flows:
        frontend = index.frontend(flow) if flow.live else None
        backend = index.backend(frontend, flow) if frontend is not None else None
        if frontend is not None and backend is not None:
            into[EndpointId(frontend.name, backend.address, backend.port)] += 1


def stale_pairs(flows: Iterable[Flow], index: Index) -> set[tuple[tuple[str, int], tuple[str, int]]]:
    """Asked and answering of flows to our frontends that nobody in the plan answers.

    Such are flows to a backend that was removed, and those from before the frontend existed, which point at ourselves.
    UDP has no end, so the kernel would send their packets astray for as long as the client goes on.
    """
    return {
        (flow.asked, flow.answering)
        for flow in flows
        if (frontend := index.frontend(flow)) is not None and index.backend(frontend, flow) is None
    }


def _plain(address: str) -> str:
    return str(ip_address(address))


def _any(address: str) -> str:
    return "::" if ":" in address else "0.0.0.0"
