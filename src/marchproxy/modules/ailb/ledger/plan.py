"""Plan: everything that counts the requests of one owner for one model, found once, as a request needs it. Pure."""

from collections.abc import Sequence

from marchproxy.modules.ailb.ledger.account import Account, Need
from marchproxy.modules.ailb.ledger.bucket import MINUTE
from marchproxy.modules.ailb.ledger.periods import Today
from marchproxy.modules.ailb.ledger.refusal import Refusal
from marchproxy.modules.ailb.ledger.tokens import Portion


class Plan:
    """The meters of all accounts that apply. What no allowance limits is an empty list, and costs nothing."""

    __slots__ = ("_accounts", "_purses", "_requests", "_seats", "tokens")

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = tuple(accounts)
        self._requests = tuple(one.requests for one in accounts if one.requests is not None)
        self.tokens = tuple(one.tokens for one in accounts if one.tokens is not None)
        self._seats = tuple(one.seats for one in accounts if one.seats is not None)
        purses = (purse for one in accounts for purse in (one.day, one.month))
        self._purses = tuple(purse for purse in purses if purse is not None)

    def is_short(self, units: int, cost: int, now: int, when: Today) -> bool:
        """Whether one of them has not enough for a request of so many sixty-billionths of a token, and micro-units."""
        for bucket in self._requests:
            if bucket.wait(MINUTE, now):
                return True
        for bucket in self.tokens:
            if bucket.wait(units, now):
                return True
        for seats in self._seats:
            if seats.held >= seats.most:
                return True
        for purse in self._purses:  # noqa: SIM110 - a generator takes longer than what it would hide
            if purse.is_short(cost, when):
                return True
        return False

    def reserve(self, units: int, cost: int) -> tuple[Portion, ...]:
        """Take it of all of them; what of the tokens is to be settled, in the order of `tokens`."""
        for bucket in self._requests:
            bucket.take(MINUTE)
        for seats in self._seats:
            seats.held += 1
        for purse in self._purses:
            purse.reserve(cost)
        return tuple([bucket.reserve(units) for bucket in self.tokens])

    def settle_tokens(self, portions: Sequence[Portion], reserved: int, used: int, now: int) -> None:
        """Have a request's portions be what it used."""
        for bucket, portion in zip(self.tokens, portions, strict=True):
            bucket.settle(portion, reserved, used, now)

    def leave(self) -> None:
        """A request is over, whatever it has used."""
        for seats in self._seats:
            seats.held -= 1

    def let_go(self, cost: int) -> None:
        """A request is settled for which so much was reserved."""
        for purse in self._purses:
            purse.let_go(cost)

    def refusal(self, need: Need, now: int, when: Today) -> Refusal:
        """Of those that have not enough the one that will have it last; only when `is_short`."""
        found = (refusal for account in self._accounts for refusal in account.refusals(need, now, when))
        return max(found, key=_patience)


def _patience(refusal: Refusal) -> float:
    return float("inf") if refusal.retry_after is None else refusal.retry_after
