"""Standing: how it is with each certificate, for health checks and for metrics. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from marchproxy.model.module import HealthStatus
from marchproxy.model.series import Point
from marchproxy.modules.base.engine import EngineHealth

_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One file. Without `not_after` it is no certificate of ours. `trouble`: why the file as it is now is not in use."""

    file: str
    not_before: datetime | None = None
    not_after: datetime | None = None
    trouble: str = ""


def with_certificates(
    health: EngineHealth, standings: Iterable[Standing], *, now: datetime, warning_days: int
) -> EngineHealth:
    """The health of an engine with what is to be said of its certificates; degraded when one needs somebody's hand."""
    checks, faults = dict(health.checks), []
    for standing in standings:
        words = list(_words(standing, now))
        checks[f"certificate {standing.file}"] = "; ".join(words) or "ok"
        left = _days_left(standing, now)
        if standing.trouble or _too_early(standing, now) or (left is not None and left < warning_days):
            faults.append(f"certificate {standing.file}: {'; '.join(words)}")
    if not faults or health.status not in {HealthStatus.HEALTHY, HealthStatus.DEGRADED}:
        return replace(health, checks=checks)
    said = [health.message] if health.status is HealthStatus.DEGRADED else []
    return EngineHealth(HealthStatus.DEGRADED, "; ".join([*said, *faults]), checks)


def certificate_points(standings: Iterable[Standing], now: datetime) -> tuple[Point, ...]:
    """The days that each certificate is still good for, negative when it has expired; whether its file is in use."""
    return tuple(_points(standings, now))


def _points(standings: Iterable[Standing], now: datetime) -> Iterator[Point]:
    for standing in standings:
        labels = (("file", standing.file),)
        if (left := _days_left(standing, now)) is not None:
            yield Point("certificate_days_left", round(left, 3), labels)
        yield Point("certificate_file_unusable", float(bool(standing.trouble)), labels)


def _words(standing: Standing, now: datetime) -> Iterator[str]:
    left = _days_left(standing, now)
    if left is not None:
        yield f"expires in {int(left)} days" if left >= 0 else f"expired {int(-left)} days ago"
    if _too_early(standing, now) and standing.not_before is not None:
        yield f"is good from {standing.not_before:%Y-%m-%d %H:%M} UTC only"
    if standing.trouble:
        yield f"{standing.trouble}; the earlier one stays in use"


def _days_left(standing: Standing, now: datetime) -> float | None:
    return None if standing.not_after is None else (standing.not_after - now).total_seconds() / _DAY


def _too_early(standing: Standing, now: datetime) -> bool:
    return standing.not_before is not None and now < standing.not_before
