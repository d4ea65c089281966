"""Token bucket: a bucket whose uses are first reserved, and later settled at what they really were. Pure.

Its level is a queue of portions, one for each request, and sinks from the oldest on. What a request did not need is given back
as far as it has not sunk away yet. Given back beyond that it would be granted twice: once because time passed, and once
because it was not used. So whatever the order in which requests begin and end, the level is never below what it would be had
each request taken at once what it turned out to need. Portions of requests that have ended are joined: there are no more
than twice as many as requests under way, and one.
"""

from marchproxy.modules.ailb.ledger.bucket import Bucket


class Portion:
    """What of one request's tokens has not sunk away; it is in the queue as long as there is something."""

    __slots__ = ("after", "before", "is_open", "unpaid")

    before: "Portion"
    after: "Portion"

    def __init__(self, units: int) -> None:
        self.unpaid = units
        self.is_open = True


class TokenBucket(Bucket):
    """What one name has used of one allowance's tokens."""

    __slots__ = ("_open", "_queue")

    def __init__(self) -> None:
        super().__init__()
        self._open = 0
        self._queue = Portion(0)  # a ring: what comes after it is the oldest, what is before it the newest
        self._queue.before = self._queue.after = self._queue

    def reserve(self, units: int) -> Portion:
        """Use so much until it is settled, right after `wait` was 0."""
        portion = Portion(units)
        self._open += 1
        if units:
            self._level += units
            self._append(portion)
        return portion

    def settle(self, portion: Portion, reserved: int, needed: int, now: int) -> None:
        """Have a request use what it needed. What is beyond its reservation is used from now on."""
        self._sink(now)
        self._open -= 1
        portion.is_open = False
        unpaid, change = portion.unpaid, needed - reserved
        if change + unpaid < 0:
            change = -unpaid
        self._level += change
        portion.unpaid = unpaid + change
        if change and not unpaid:  # it had sunk away, and is not in the queue any more
            self._append(portion)
        if change or unpaid:
            self._tidy(portion)

    @property
    def portions(self) -> int:
        """How many there are."""
        count, portion = 0, self._queue.after
        while portion is not self._queue:
            count, portion = count + 1, portion.after
        return count

    def is_idle(self, now: int) -> bool:
        """Whether it says nothing that a new one would not say; not while a request is under way, which may need more."""
        return super().is_idle(now) and not self._open

    def _sink(self, now: int) -> None:
        super()._sink(now)
        sunk = self._sunk
        if not sunk:
            return
        self._sunk = 0
        while sunk:
            oldest = self._queue.after
            if sunk < oldest.unpaid:
                oldest.unpaid -= sunk
                return
            sunk -= oldest.unpaid
            oldest.unpaid = 0
            _remove(oldest)

    def _tidy(self, portion: Portion) -> None:
        """Join a portion that is settled with those beside it that are; the ring's own is never settled."""
        before, after = portion.before, portion.after
        if not before.is_open or not portion.unpaid:
            before.unpaid += portion.unpaid
            _remove(portion)
            portion = before
        if not portion.is_open and not after.is_open:
            portion.unpaid += after.unpaid
            _remove(after)

    def _append(self, portion: Portion) -> None:
        queue = self._queue
        last = queue.before
        portion.before, portion.after = last, queue
        last.after = queue.before = portion


def _remove(portion: Portion) -> None:
    before, after = portion.before, portion.after
    before.after, after.before = after, before
    # a request that is long under way must not keep all that were removed after its portion was
    del portion.before, portion.after
