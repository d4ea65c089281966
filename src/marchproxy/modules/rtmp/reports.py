"""Reports: origins as they were last seen, in words, and the health that follows. No I/O."""

from collections.abc import Mapping, Sequence

from marchproxy.model.module import HealthStatus
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.rtmp.service import OriginReport

_MOST_NAMED = 10  # origins of one pool
_MOST_FAULTS = 5  # in one message; the checks have them all


def judge(checks: Mapping[str, str], origins: Sequence[OriginReport]) -> EngineHealth:
    """The health of an instance: what `checks` say of its processes and files, and its origins.

    Unhealthy without any worker; degraded when something is wrong with one, or with a pool.
    """
    found = {name: word for name, word in checks.items() if word != "ok"}
    workers = [name for name in checks if name.startswith("worker:")]
    all_checks = dict(checks)
    for name in sorted({origin.pool for origin in origins}):
        own = sorted((one for one in origins if one.pool == name), key=lambda one: one.address)
        all_checks[f"pool:{name}"] = _pool_words(own)
        if trouble := pool_trouble(own):
            found[f"pool {name}"] = trouble
    words = "; ".join(f"{name}: {fault}" for name, fault in list(found.items())[:_MOST_FAULTS])
    if workers and all(name in found for name in workers):
        return EngineHealth(HealthStatus.UNHEALTHY, words, all_checks)
    status = HealthStatus.DEGRADED if found else HealthStatus.HEALTHY
    return EngineHealth(status, words or "serving", all_checks)


def pool_trouble(origins: Sequence[OriginReport]) -> str:
    """What keeps a pool from working at all: no origin answers; else empty."""
    if not origins or any(not origin.fault for origin in origins):
        return ""
    return f"no origin answers: {origins[0].fault}"


def _pool_words(origins: Sequence[OriginReport]) -> str:
    answering = sum(not origin.fault for origin in origins)
    named = "; ".join(_origin_words(origin) for origin in origins[:_MOST_NAMED])
    more = f"; and {len(origins) - _MOST_NAMED} more" if len(origins) > _MOST_NAMED else ""
    return f"{answering} of {len(origins)} origins answer: {named}{more}"


def _origin_words(origin: OriginReport) -> str:
    if origin.fault:
        return f"{origin.address} {origin.fault}"
    parts = [origin.address, f"{origin.streams} streams", f"{origin.players} players"]
    if origin.latency is not None:
        parts.append(f"{origin.latency * 1000:.1f} ms")
    return ", ".join(parts)
