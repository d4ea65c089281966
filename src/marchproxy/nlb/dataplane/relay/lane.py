"""Lane: one listener as its connections see it: who takes them, and what it carries."""

from collections import Counter
from collections.abc import Collection, Sequence
from random import Random

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import ListenerPlan, Target
from marchproxy.nlb.dataplane.relay.balancer import Balancer, Seat
from marchproxy.nlb.dataplane.relay.counts import Tally
from marchproxy.nlb.dataplane.relay.limiter import Limiter
from marchproxy.nlb.dataplane.relay.messages import Outcome


class Lane:
    """The live state of one listener. `idle_seconds`: its idle timeout, 0 is none."""

    def __init__(self, plan: ListenerPlan, parked: Sequence[Target], limiter: Limiter) -> None:
        self.tally = Tally()
        self.closes: Counter[Outcome] = Counter()
        self.balancer = Balancer(Random())  # noqa: S311 - spreads load, guards nothing
        self._limiter = limiter
        self.update(plan, parked)

    def update(self, plan: ListenerPlan, parked: Sequence[Target]) -> None:
        """What holds for connections from now on; those that are open go on."""
        self.listener: Listener = plan.listener
        self.idle_seconds = plan.listener.idle_timeout
        self.balancer.update(plan.listener.balance, plan.versions, parked)

    def admit(self, host: str, now: float) -> bool:
        """Let a client in, which `leave` ends, unless a rate limit denies it."""
        if not self._limiter.admit(self.listener, host, now):
            return False
        self.tally.active += 1
        self.tally.total += 1
        return True

    def leave(self, received: int, sent: int) -> None:
        """A client that was let in is gone."""
        self.tally.active -= 1
        self.tally.received += received
        self.tally.sent += sent

    def closed(self, outcome: Outcome) -> None:
        """A connection that was meant for it ended like this, let in or not."""
        self.closes[outcome] += 1
        self.tally.denied += outcome is Outcome.DENIED
        self.tally.failed += outcome is Outcome.REFUSED

    def pick(self, host: str, tried: Collection[InstanceId], now: float) -> Seat | None:
        """Who is to be tried next."""
        return self.balancer.pick(host, tried, now)
