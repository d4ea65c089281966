"""Accounts: those of one allowance by name. Their number is bounded, and nobody who owes is forgotten. Pure."""

from collections import OrderedDict
from collections.abc import Callable

from marchproxy.model.ai import ANY_MODEL, Allowance, AllowanceScope
from marchproxy.modules.ailb.ledger.account import Account
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import OTHERS, Who

#: Accounts that are looked at for one that can be forgotten, when a new one finds no room.
_TRIES = 8


class Accounts:
    """One allowance's accounts. `dropped` is called when one is forgotten: nobody may hold on to it."""

    def __init__(
        self, scope: AllowanceScope, totals: Totals, dropped: Callable[[], None], *, most: int
    ) -> None:
        self.scope = scope
        self.allowance = Allowance("", "", enabled=False)
        self._totals = totals
        self._dropped = dropped
        self._most = most
        self._instances = 1
        self._by_name: OrderedDict[str, Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def name(self, who: Who, model: str) -> str | None:
        """By which name the allowance counts a request; None: it does not."""
        if not self.allowance.enabled:
            return None
        name = who.name(self.scope, model)
        if self.scope is AllowanceScope.EVERYTHING or (name and self.allowance.subject in {ANY_MODEL, name}):
            return name
        return None

    def account(self, name: str, now: int) -> Account:
        """The account of a name. Names for which there is no room share one."""
        if name not in self._by_name and len(self._by_name) >= self._most and not self.sweep(now, _TRIES):
            name = OTHERS
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = Account(self.allowance, name, self._totals.of(self.scope, name))
            found.resize(self.allowance, self._instances, now)
        return found

    def sweep(self, now: int, most: int) -> int:
        """Forget those that are idle among so many that were not looked at for longest; how many were."""
        count = 0
        for _ in range(min(most, len(self._by_name))):
            name, account = self._by_name.popitem(last=False)
            if account.is_idle(now):
                count += 1
            else:
                self._by_name[name] = account
        if count:
            self._dropped()
        return count

    def resize(self, allowance: Allowance, instances: int, now: int) -> None:
        """Follow an allowance of the scope; what was used stays used, names that it means no more are forgotten."""
        if (allowance, instances) == (self.allowance, self._instances):
            return  # 50,000 accounts would take some tenths of a second
        self.allowance, self._instances = allowance, instances
        subject = allowance.subject
        self._by_name = OrderedDict(
            (name, account) for name, account in self._by_name.items() if subject in {"", ANY_MODEL, name}
        )
        for account in self._by_name.values():
            account.resize(allowance, instances, now)
