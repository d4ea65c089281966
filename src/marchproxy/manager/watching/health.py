"""Health: the hierarchy from the database by way of the NLBs to every module, as one value."""

from dataclasses import dataclass
from datetime import datetime

from marchproxy.model.module import HealthStatus


@dataclass(frozen=True, slots=True)
class Health:
    """How something is, and what it stands on. The worst of the `parts` that matter is in `status`.

    `kind`: "manager", "database", "nlb" or "module".
    """

    name: str
    kind: str
    status: HealthStatus
    message: str
    checked_at: datetime
    parts: tuple["Health", ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    """Single checks by name, in words."""

    @property
    def serves(self) -> bool:
        """Whether it does its work, if not all of it."""
        return self.status in {HealthStatus.HEALTHY, HealthStatus.DEGRADED}
