"""Reports: servers as they were last seen, in words, and the health that follows. No I/O."""

from collections.abc import Mapping, Sequence

from marchproxy.model.module import HealthStatus
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.dblb.service import ServerReport

_MOST_NAMED = 10  # servers of one pool
_MOST_FAULTS = 5  # in one message; the checks have them all


def judge(checks: Mapping[str, str], reports: Sequence[ServerReport]) -> EngineHealth:
    """The health of a DBLB: what `checks` say of its workers and files, and its servers.

    Unhealthy without any worker; degraded when something is wrong with one, or with a pool.
    """
    found = {name: word for name, word in checks.items() if word != "ok"}
    workers = [name for name in checks if name.startswith("worker:")]
    all_checks, pools = dict(checks), _by_pool(reports)
    for name, servers in pools.items():
        all_checks[f"pool:{name}"] = pool_words(servers)
        if trouble := pool_trouble(servers):
            found[f"pool {name}"] = trouble
    words = "; ".join(f"{name}: {fault}" for name, fault in list(found.items())[:_MOST_FAULTS])
    if workers and all(name in found for name in workers):
        return EngineHealth(HealthStatus.UNHEALTHY, words, all_checks)
    status = HealthStatus.DEGRADED if found else HealthStatus.HEALTHY
    return EngineHealth(status, words or "serving", all_checks)


def pool_trouble(servers: Sequence[ServerReport]) -> str:
    """What keeps a pool from working as it should: no server answers, or there are replicas and no primary; else empty."""
    if not servers:
        return ""
    answering = [server for server in servers if not server.fault]
    if not answering:
        return f"no server answers: {servers[0].fault}"
    if all(server.role == "replica" for server in answering):
        return "no server is primary: nothing can be written"
    return ""


def pool_words(servers: Sequence[ServerReport]) -> str:
    """A pool's servers, each with its role, how fast it answered, and how far it is behind."""
    answering = sum(not server.fault for server in servers)
    named = "; ".join(_server_words(server) for server in servers[:_MOST_NAMED])
    more = f"; and {len(servers) - _MOST_NAMED} more" if len(servers) > _MOST_NAMED else ""
    return f"{answering} of {len(servers)} servers answer: {named}{more}"


def _server_words(server: ServerReport) -> str:
    if server.fault:
        return f"{server.address} {server.fault}"
    parts = [server.address if server.role == "unknown" else f"{server.address} {server.role}"]
    if server.latency is not None:
        parts.append(f"{server.latency * 1000:.1f} ms")
    if server.lag is not None and server.role != "primary":
        parts.append(f"{server.lag:.1f} s behind")
    return ", ".join(parts)


def _by_pool(reports: Sequence[ServerReport]) -> Mapping[str, list[ServerReport]]:
    pools: dict[str, list[ServerReport]] = {}
    for report in sorted(reports, key=lambda report: (report.pool, report.address)):
        pools.setdefault(report.pool, []).append(report)
    return pools
