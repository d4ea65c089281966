"""Who asks: the names by which allowances, journals and reports tell requests apart."""

from typing import NamedTuple

from marchproxy.model.ai import AllowanceScope, VirtualKey

#: Stands for all names beyond the number that is kept.
OTHERS = "(others)"


class Who(NamedTuple):
    """The owner of a request; empty where nobody is known. A tuple, because it is hashed for every request."""

    key: str = ""
    user: str = ""
    team: str = ""

    @classmethod
    def of(cls, key: VirtualKey) -> "Who":
        """Whom a key stands for."""
        return cls(key.key_id, key.user, key.team)

    def name(self, scope: AllowanceScope, model: str) -> str:
        """The name that a scope counts by."""
        match scope:
            case AllowanceScope.KEY:
                return self.key
            case AllowanceScope.USER:
                return self.user
            case AllowanceScope.TEAM:
                return self.team
            case AllowanceScope.MODEL:
                return model
            case AllowanceScope.EVERYTHING:
                return ""
