"""Reports: what a module says of itself, as messages."""

from collections.abc import Sequence

from marchproxy.contract.convert import instance_to_pb, moment_to_pb, stream_to_pb, unix_to_pb
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.model.live_stream import most_watched
from marchproxy.model.module import DRAINED, HealthStatus, InstanceId, ModuleInstance, ModuleType, Version
from marchproxy.model.route import Route
from marchproxy.modules.base.api.parts import Parts
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.base.observation import Traffic, counted_since

_MOST_CUSTOM = 50  # an NLB keeps 64
_MOST_STREAMS = 1000


def health(parts: Parts) -> EngineHealth:
    """How the module is, from what is known without asking anybody."""
    if parts.control.stopping:
        return EngineHealth(HealthStatus.STOPPING, "stopping", {})
    found = judged(parts, parts.core.engine.health())
    if parts.core.running.draining and found.status.takes_traffic:
        return EngineHealth(HealthStatus.STOPPING, DRAINED, found.checks)
    return found


def judged(parts: Parts, found: EngineHealth) -> EngineHealth:
    """The health of the engine as that of the module: degraded while its own configuration cannot run."""
    return found.but("configuration", parts.core.trouble) if parts.core.trouble else found


def instance(parts: Parts, now: EngineHealth | None = None) -> ModuleInstance:
    """The instance as it is now; `now`: its health, where the caller has asked already."""
    core = parts.core
    now = now or health(parts)
    return ModuleInstance(
        instance_id=InstanceId(core.identity.instance_id),
        module_type=core.engine.module_type,
        address=core.identity.address,
        version=Version(core.identity.version),
        health=now.status,
        started_at=core.identity.started_at,
        current_connections=parts.sampler.last.active_connections,
        max_connections=core.identity.max_connections,
        traffic_endpoints=core.engine.endpoints(),
        config_checksum=core.checksum,
    )


def stats(parts: Parts) -> types_pb2.ModuleStats:
    """The counts since the last reset."""
    sampler = parts.sampler
    seen, baseline = sampler.last, sampler.baseline
    message = traffic_stats(seen.traffic.since(baseline.traffic), parts)
    message.active_connections = seen.active_connections
    message.total_connections = counted_since(seen.total_connections, baseline.connections)
    message.cpu_usage_percent = seen.cpu_percent
    message.memory_usage_mb = seen.memory_mb
    message.custom_stats["requests_per_second"] = f"{sampler.requests_per_second:.1f}"
    message.custom_stats["p90_latency_ms"] = f"{seen.traffic.latency.p90:.3f}"
    before = dict(baseline.status_classes)
    for name, count in seen.status_classes.items():
        message.custom_stats[f"responses_{name}"] = str(counted_since(count, before.get(name, 0)))
    for point in seen.points[:_MOST_CUSTOM]:
        of = f"{{{', '.join(value for _, value in point.labels)}}}" if point.labels else ""
        message.custom_stats[f"{point.name}{of}"] = f"{point.value:g}"
    if sampler.failure:
        message.custom_stats["stale"] = sampler.failure
    return message


def route_stats(parts: Parts) -> dict[str, types_pb2.ModuleStats]:
    """The counts of each route since the last reset."""
    before = dict(parts.sampler.baseline.routes)
    return {
        route: traffic_stats(traffic.since(before.get(route, Traffic())), parts)
        for route, traffic in parts.sampler.last.routes.items()
    }


def streams(parts: Parts) -> list[types_pb2.LiveStream]:
    """The live streams as of the last look, the most watched ones."""
    return [stream_to_pb(one) for one in most_watched(parts.sampler.last.streams, _MOST_STREAMS)]


def pool_stats(parts: Parts) -> dict[str, types_pb2.ModuleStats]:
    """The counts of each backend pool since the last reset."""
    before = dict(parts.sampler.baseline.pools)
    return {
        pool: traffic_stats(seen.traffic.since(before.get(pool, Traffic())), parts)
        for pool, seen in parts.sampler.last.pools.items()
    }


def traffic_stats(traffic: Traffic, parts: Parts) -> types_pb2.ModuleStats:
    """Some traffic as a message."""
    latency = traffic.latency
    return types_pb2.ModuleStats(
        instance_id=parts.core.identity.instance_id,
        total_requests=traffic.requests,
        successful_requests=max(0, traffic.requests - traffic.failures),
        failed_requests=traffic.failures,
        bytes_received=traffic.bytes_received,
        bytes_sent=traffic.bytes_sent,
        avg_latency_ms=latency.mean,
        p50_latency_ms=latency.p50,
        p90_latency_ms=latency.p90,
        p95_latency_ms=latency.p95,
        p99_latency_ms=latency.p99,
        since=unix_to_pb(parts.sampler.baseline.at),
    )


class ModuleReporter:
    """What the registrars send to the NLBs."""

    def __init__(self, parts: Parts, heartbeat_interval: float) -> None:
        self._parts = parts
        self._interval = heartbeat_interval

    def registration(self) -> nlb_pb2.RegisterModuleRequest:
        """The instance, its routes and how often it will report."""
        return nlb_pb2.RegisterModuleRequest(
            instance=instance_to_pb(instance(self._parts)),
            initial_routes=self._messages(self.announced()),
            health_config=types_pb2.HealthCheckConfig(
                interval_seconds=max(1, round(self._interval)), unhealthy_threshold=3
            ),
        )

    def heartbeat(self, registration_id: str) -> nlb_pb2.HeartbeatRequest:
        """Health and counts as they are now."""
        now = instance(self._parts)
        return nlb_pb2.HeartbeatRequest(
            instance_id=now.instance_id,
            registration_id=registration_id,
            status=instance_to_pb(now).health_status,
            current_stats=stats(self._parts),
            timestamp=moment_to_pb(self._parts.clock.now()),
            config_checksum=now.config_checksum,
            current_connections=now.current_connections,
        )

    def announced(self) -> tuple[Route, ...]:
        """The routes that this module serves."""
        module_type = self._parts.core.engine.module_type
        routes = self._parts.core.desired.routes
        return tuple([route for route in routes if _is_for(route.module_type, module_type)])

    def routing(self, told: Sequence[Route] | None) -> nlb_pb2.UpdateRoutingRequest | None:
        """The routes that are other ones than those told; all of them where one has gone, which no update could say."""
        announced = self.announced()
        known = set(map(id, told or ()))
        fresh = [route for route in announced if id(route) not in known]
        ids = {route.route_id for route in announced}
        whole = told is None or any(route.route_id not in ids for route in told)
        if not (whole or fresh):
            return None
        return nlb_pb2.UpdateRoutingRequest(
            routes=self._messages(announced if whole else fresh),
            replace_all=whole,
            source_instance_id=self._parts.core.identity.instance_id,
        )

    def _messages(self, routes: Sequence[Route]) -> list[types_pb2.Route]:
        return self._parts.routes.of(routes, self._parts.core.desired.routes)


def _is_for(wanted: ModuleType | None, own: ModuleType) -> bool:
    return wanted is None or wanted is own
