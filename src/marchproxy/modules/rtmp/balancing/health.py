"""Health: what checks and connections have shown of one origin. Pure: times are arguments, in seconds."""

from dataclasses import dataclass, replace

from marchproxy.model.pool import HealthCheck, OutlierDetection


@dataclass(frozen=True, slots=True)
class Health:
    """`sick`: what checks found; `failed`: what the last connection failed of; empty: nothing. The rest counts in a row.

    `until`: an origin that failed too often is left out until then, `ejections` times so far.
    """

    sick: str = ""
    failed: str = ""
    missed: int = 0
    answered: int = 0
    failures: int = 0
    until: float = 0.0
    ejections: int = 0
    latency: float | None = None

    @property
    def fault(self) -> str:
        """Why other origins are better; empty: none is."""
        return self.sick or self.failed


def answered(health: Health, latency: float, check: HealthCheck, now: float) -> Health:
    """A check was answered within `latency`. What failed by connections is forgiven, if it is not left out."""
    count = health.answered + 1
    return replace(
        health,
        sick="" if count >= check.healthy_threshold else health.sick,
        failed=health.failed if now < health.until else "",
        missed=0,
        answered=count,
        latency=latency,
    )


def missed(health: Health, words: str, check: HealthCheck) -> Health:
    """A check was not answered."""
    count = health.missed + 1
    sick = words if count >= check.unhealthy_threshold else health.sick
    return replace(health, sick=sick, missed=count, answered=0, latency=None)


def served(health: Health) -> Health:
    """The origin took a client."""
    return replace(health, failed="", failures=0, until=0.0, ejections=0)


def failed(health: Health, words: str, outliers: OutlierDetection | None, now: float) -> Health:
    """A connection failed, or was lost: others go first, until a check is answered, or longer where it fails again and again.

    `outliers` None: no longer.
    """
    count = health.failures + 1
    if outliers is None or count < outliers.consecutive_errors or now < health.until:
        return replace(health, failed=words, failures=count)
    times = health.ejections + 1
    return replace(
        health, failed=words, failures=0, ejections=times, until=now + outliers.ejection_time * times
    )
