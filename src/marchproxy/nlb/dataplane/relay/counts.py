"""Counts: what a relay listener carries and how its connections ended."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from marchproxy.model.module import InstanceId
from marchproxy.nlb.dataplane.relay.messages import Outcome
from marchproxy.wire.detect import Protocol

Key = TypeVar("Key")
_MOST_TARGETS = 1024


@dataclass(frozen=True, slots=True)
class Traffic:
    """Connections: ever, open now, failed (refused, or a target that could not be reached). Bytes from either side."""

    connections: int = 0
    active: int = 0
    failed: int = 0
    from_client: int = 0
    from_target: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.connections + other.connections,
            self.active + other.active,
            self.failed + other.failed,
            self.from_client + other.from_client,
            self.from_target + other.from_target,
        )


_NOTHING = Traffic()


@dataclass(frozen=True, slots=True)
class RelayCounts:
    """Everything at one moment. `turned_away`: over the limit of connections, never `accepted`.

    `outcomes` counts connections that were closed by this side or the other. A protocol's `connections` are those
    detected as it. Bytes count from the client's first one, and a PROXY header does not count.
    """

    accepted: int = 0
    turned_away: int = 0
    active: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    protocols: Mapping[Protocol, Traffic] = field(default_factory=dict)
    targets: Mapping[InstanceId, Traffic] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """What one open connection adds to the counts: bytes, and whom they belong to, as far as that is known."""

    protocol: Protocol | None
    target: InstanceId | None
    from_client: int
    from_target: int


class Ledger:
    """Keeps the counts of connections that are over; those that are open are counted when somebody asks."""

    def __init__(self) -> None:
        self.accepted = 0
        self.turned_away = 0
        self._outcomes: Counter[Outcome] = Counter()
        self._protocols: dict[Protocol, Traffic] = {}
        self._targets: dict[InstanceId, Traffic] = {}

    def detected(self, protocol: Protocol) -> None:
        """A connection turned out to be this."""
        _add(self._protocols, protocol, Traffic(connections=1))

    def joined(self, target: InstanceId) -> None:
        """A connection reached this target."""
        self._bound_targets(target)
        _add(self._targets, target, Traffic(connections=1))

    def unreachable(self, target: InstanceId) -> None:
        """An attempt to connect to this target failed."""
        self._bound_targets(target)
        _add(self._targets, target, Traffic(failed=1))

    def closed(self, outcome: Outcome, protocol: Protocol | None) -> None:
        """A connection was closed for this reason."""
        self._outcomes[outcome] += 1
        if outcome is Outcome.REFUSED and protocol is not None:
            _add(self._protocols, protocol, Traffic(failed=1))

    def ended(self, share: Share) -> None:
        """A connection is over; its bytes are final."""
        if share.target is not None:
            self._bound_targets(share.target)
        _count(self._protocols, self._targets, share, active=0)

    def read(self, open_now: Iterable[Share]) -> RelayCounts:
        """The counts, with what is open added."""
        protocols, targets, active = dict(self._protocols), dict(self._targets), 0
        for share in open_now:
            active += 1
            _count(protocols, targets, share, active=1)
        return RelayCounts(self.accepted, self.turned_away, active, dict(self._outcomes), protocols, targets)

    def _bound_targets(self, newcomer: InstanceId) -> None:
        # instances come and go with every rollout; the one counted first is the likeliest to be gone
        if newcomer not in self._targets and len(self._targets) >= _MOST_TARGETS:
            del self._targets[next(iter(self._targets))]


def _count(
    protocols: dict[Protocol, Traffic], targets: dict[InstanceId, Traffic], share: Share, *, active: int
) -> None:
    traffic = Traffic(active=active, from_client=share.from_client, from_target=share.from_target)
    if share.protocol is not None:
        _add(protocols, share.protocol, traffic)
    if share.target is not None:
        _add(targets, share.target, traffic)


def _add(table: dict[Key, Traffic], key: Key, traffic: Traffic) -> None:
    table[key] = table.get(key, _NOTHING) + traffic
