"""HealthCheck, GetStats, GetMetrics, StreamMetrics."""

from collections.abc import AsyncIterator, Iterable

from marchproxy.contract.convert import (
    HEALTH,
    MODULE_TYPES,
    moment_to_pb,
    points_to_pb,
    unix_from_pb,
    unix_to_pb,
)
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.grpc import invalid
from marchproxy.kit.grpc.calls import Context
from marchproxy.model.problem import InvalidValue
from marchproxy.model.series import Point
from marchproxy.modules.base.api import reports
from marchproxy.modules.base.api.parts import Api

_LONGEST_INTERVAL = 3600


class ObservingApi(Api):
    """Health, counts and metrics."""

    async def HealthCheck(
        self, request: module_pb2.HealthCheckRequest, _: Context
    ) -> module_pb2.HealthCheckResponse:
        """Health: what is known, or (deep) what the engine and its backends say now."""
        parts = self._parts
        parts.expect(request.instance_id)
        deep = request.deep_check and not (parts.control.stopping or parts.core.running.draining)
        health = reports.judged(parts, await parts.core.engine.check()) if deep else reports.health(parts)
        return module_pb2.HealthCheckResponse(
            status=HEALTH.to_pb(health.status),
            message=health.message,
            checks=health.checks,
            checked_at=moment_to_pb(parts.clock.now()),
        )

    async def GetStats(self, request: module_pb2.GetStatsRequest, _: Context) -> module_pb2.GetStatsResponse:
        """The counts since the last reset, in all, by route and by pool, as of the last look; see `metrics_interval`.

        `reset_counters` looks anew, and counts from there after this answer.
        """
        parts = self._parts
        parts.expect(request.instance_id)
        if request.reset_counters:
            await parts.sampler.look()
        answer = self._counts()
        if request.reset_counters:
            parts.sampler.reset()
        return answer

    def _counts(self) -> module_pb2.GetStatsResponse:
        """Of 10,000 routes it takes a tenth of a second, so it is worked out once for each look."""
        parts, sampler = self._parts, self._parts.sampler
        rests_on = (sampler.last, sampler.baseline, sampler.failure)
        answer = parts.counts.recall(*rests_on)
        if answer is None:
            answer = module_pb2.GetStatsResponse(
                stats=reports.stats(parts),
                routes=reports.route_stats(parts),
                pools=reports.pool_stats(parts),
                streams=reports.streams(parts),
                collected_at=unix_to_pb(sampler.last.at),
            )
            parts.counts.answer, parts.counts.rests_on = answer, rests_on
        return answer

    async def GetMetrics(
        self, request: module_pb2.GetMetricsRequest, _: Context
    ) -> module_pb2.GetMetricsResponse:
        """The metrics of a time range; without one, those of the last look."""
        self._parts.expect(request.instance_id)
        try:
            start = unix_from_pb(request.start_time, "start_time") if request.HasField("start_time") else None
            end = unix_from_pb(request.end_time, "end_time") if request.HasField("end_time") else None
        except InvalidValue as error:
            raise invalid(str(error)) from error
        if start is not None and end is not None and end < start:
            raise invalid("end_time: is before start_time")
        series = self._parts.sampler.series
        if start is None and end is None:
            latest = series.latest()
            start = latest.at if latest else 0.0
        return module_pb2.GetMetricsResponse(
            metrics=self._metrics(series.between(start, end, request.metric_names)),
            collected_at=unix_to_pb(self._parts.sampler.last.at),
        )

    async def StreamMetrics(
        self, request: module_pb2.StreamMetricsRequest, _: Context
    ) -> AsyncIterator[module_pb2.StreamMetricsResponse]:
        """The metrics now and then every interval, until the client goes."""
        parts = self._parts
        parts.expect(request.instance_id)
        if not 0 <= request.interval_seconds <= _LONGEST_INTERVAL:
            raise invalid(
                f"interval_seconds: {request.interval_seconds} is not between 0 and {_LONGEST_INTERVAL}"
            )
        interval = float(request.interval_seconds or 1)
        while True:
            seen = await parts.sampler.recent(interval / 2)
            points = parts.sampler.series.between(seen.at, seen.at, request.metric_names)
            yield module_pb2.StreamMetricsResponse(
                metrics=self._metrics(points), timestamp=moment_to_pb(parts.clock.now())
            )
            await parts.clock.sleep(interval)

    def _metrics(self, points: Iterable[tuple[float, Point]]) -> types_pb2.ModuleMetrics:
        core = self._parts.core
        return types_pb2.ModuleMetrics(
            instance_id=core.identity.instance_id,
            module_type=MODULE_TYPES.to_pb(core.engine.module_type),
            metrics=points_to_pb(points),
            collected_at=unix_to_pb(self._parts.sampler.last.at),
        )
