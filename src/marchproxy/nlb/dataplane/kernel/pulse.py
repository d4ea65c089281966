"""Pulse: which endpoints the kernel should leave out because nobody answers there. Pure.

The kernel sends a connection to whom the rules say and never tries another. A module that dies is missed at its heartbeats
only after half a minute; a connection attempt from here tells within seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from marchproxy.engines.nftables import Backend, EndpointId, Frontend, Plan, Protocol
from marchproxy.kit.settings.types import HostPort

FAILURES = 2
"""So many failed attempts in a row make an endpoint dead; one that succeeds makes it alive."""


@dataclass(frozen=True, slots=True)
class Pulses:
    """Failed attempts in a row, by where they went; nothing for those that answered last."""

    failures: Mapping[HostPort, int] = field(default_factory=dict)

    @property
    def dead(self) -> frozenset[HostPort]:
        """Where nobody answers."""
        return frozenset(place for place, count in self.failures.items() if count >= FAILURES)

    @property
    def doubtful(self) -> bool:
        """Whether some failed that are not dead yet: the next round should not wait."""
        return any(count < FAILURES for count in self.failures.values())


def feel(pulses: Pulses, answered: Mapping[HostPort, bool]) -> Pulses:
    """What is known after a round of attempts; places that were not in it are forgotten."""
    return Pulses(
        {
            place: min(pulses.failures.get(place, 0) + 1, FAILURES)
            for place, reached in answered.items()
            if not reached
        }
    )


def places_of(plan: Plan) -> frozenset[HostPort]:
    """Where to knock: endpoints over TCP that get new connections."""
    return frozenset(
        place_of_backend(frontend, backend)
        for frontend in plan.frontends
        if frontend.protocol is Protocol.TCP
        for backend in frontend.serving
    )


def place_of_backend(frontend: Frontend, backend: Backend) -> HostPort:
    """Where this process reaches a backend; one that listens on every address of this host also has the loopback's."""
    loopback = "127.0.0.1" if frontend.version == 4 else "::1"
    return HostPort(loopback if backend.redirected else backend.address, backend.port)


def without_dead(plan: Plan, dead: frozenset[HostPort]) -> Plan:
    """The plan with weight 0 for the dead, except where a frontend would have nobody left: then this one is not believed."""
    return Plan(tuple(_spared(frontend, dead) for frontend in plan.frontends))


def left_out(plan: Plan, dead: frozenset[HostPort]) -> frozenset[EndpointId]:
    """The endpoints that `without_dead` gives weight 0."""
    spared = without_dead(plan, dead)
    return frozenset(
        EndpointId(frontend.name, backend.address, backend.port)
        for frontend, after in zip(plan.frontends, spared.frontends, strict=True)
        for backend, left in zip(frontend.backends, after.backends, strict=True)
        if backend.weight and not left.weight
    )


def _spared(frontend: Frontend, dead: frozenset[HostPort]) -> Frontend:
    if not dead or frontend.protocol is not Protocol.TCP:
        return frontend
    backends = tuple(
        replace(backend, weight=0) if place_of_backend(frontend, backend) in dead else backend
        for backend in frontend.backends
    )
    return replace(frontend, backends=backends) if any(b.weight for b in backends) else frontend
