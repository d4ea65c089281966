"""ReportMetrics, GetNLBMetrics, GetModuleMetrics, StreamNLBMetrics."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from statistics import fmean

from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract.convert.enums import MODULE_TYPES
from marchproxy.contract.convert.metrics import points_from_pb, points_to_pb
from marchproxy.contract.convert.times import unix_from_pb
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.kit.grpc.status import invalid
from marchproxy.model.module import InstanceId
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.model.series import Point, thin
from marchproxy.nlb.api.desk import Desk
from marchproxy.nlb.service.observer import SAMPLE_SECONDS, Window

_LONGEST_INTERVAL = 3600
_MOST_POINTS = 20_000


class MeasuringApi:
    """What was measured."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ReportMetrics(
        self, request: nlb_pb2.ReportMetricsRequest, _: Context
    ) -> nlb_pb2.ReportMetricsResponse:
        """Keep what a module pushes; an unknown module is not acknowledged."""
        desk = self._desk
        member = desk.core.member(InstanceId(request.instance_id))
        if member is None:
            message = f'"{request.instance_id}" is not registered; register it'
            return nlb_pb2.ReportMetricsResponse(message=message, processed_at=desk.now())
        try:
            now = desk.core.now().wall.timestamp()
            points = points_from_pb(request.metrics.metrics, now=now, path="metrics.metrics")
            desk.observer.reported(member.instance.instance_id, points)
        except InvalidValue as error:
            raise invalid(str(error)) from error
        except Refused as refused:
            return nlb_pb2.ReportMetricsResponse(message=refused.message, processed_at=desk.now())
        return nlb_pb2.ReportMetricsResponse(acknowledged=True, processed_at=desk.now())

    async def GetNLBMetrics(
        self, request: nlb_pb2.GetNLBMetricsRequest, _: Context
    ) -> nlb_pb2.GetNLBMetricsResponse:
        """The router's own values in a stretch of time, and those of every module.

        A long stretch is thinned: an answer has about 20,000 points, half of them the router's own, which is less than
        the 4 MiB that gRPC clients take by default. Ask for names, or for less time, to see every moment.
        """
        window = _window(request)
        observer, members = self._desk.observer, self._desk.core.world.registry.members
        own = observer.own(window)
        share = _MOST_POINTS // 2 // max(1, len(members))
        modules: dict[str, types_pb2.ModuleMetrics] = {}
        for instance_id in members:
            if points := observer.of_module(instance_id, window):
                shown = _aggregated(points) if request.aggregate else thin(points, share)
                modules[instance_id] = self._module(instance_id, shown)
        return nlb_pb2.GetNLBMetricsResponse(
            metrics=points_to_pb(_aggregated(own) if request.aggregate else thin(own, _MOST_POINTS // 2)),
            module_metrics=modules,
            collected_at=self._desk.now(),
        )

    async def GetModuleMetrics(
        self, request: nlb_pb2.GetModuleMetricsRequest, _: Context
    ) -> nlb_pb2.GetModuleMetricsResponse:
        """One module's values in a stretch of time, thinned as those of GetNLBMetrics."""
        member = self._desk.member(request.instance_id)
        instance_id = member.instance.instance_id
        points = self._desk.observer.of_module(instance_id, _window(request))
        return nlb_pb2.GetModuleMetricsResponse(
            metrics=self._module(instance_id, thin(points, _MOST_POINTS)), collected_at=self._desk.now()
        )

    async def StreamNLBMetrics(
        self, request: nlb_pb2.StreamNLBMetricsRequest, _: Context
    ) -> AsyncIterator[nlb_pb2.StreamNLBMetricsResponse]:
        """The newest values, now and then every interval, until the client cancels."""
        if not 0 <= request.interval_seconds <= _LONGEST_INTERVAL:
            raise invalid(f"interval_seconds: not between 0 and {_LONGEST_INTERVAL}")
        observer, names = self._desk.observer, frozenset(request.metric_names)
        while True:
            own = await observer.newest(names)
            at = self._desk.core.now().wall.timestamp()
            modules = observer.newest_of_modules(names) if request.include_modules else {}
            yield nlb_pb2.StreamNLBMetricsResponse(
                metrics=points_to_pb((at, point) for point in own),
                module_metrics={
                    key: self._module(key, [(at, point) for point in points])
                    for key, points in modules.items()
                },
                timestamp=self._desk.now(),
            )
            await asyncio.sleep(request.interval_seconds or SAMPLE_SECONDS)

    def _module(
        self, instance_id: InstanceId, points: Iterable[tuple[float, Point]]
    ) -> types_pb2.ModuleMetrics:
        member = self._desk.core.member(instance_id)
        return types_pb2.ModuleMetrics(
            instance_id=instance_id,
            module_type=MODULE_TYPES.to_pb(member.instance.module_type if member else None),
            metrics=points_to_pb(points),
            collected_at=self._desk.now(),
        )


def _window(request: nlb_pb2.GetNLBMetricsRequest | nlb_pb2.GetModuleMetricsRequest) -> Window:
    """Raises Misuse for malformed times, or an end before the start."""
    try:
        start = _time(request.start_time, "start_time") if request.HasField("start_time") else None
        end = _time(request.end_time, "end_time") if request.HasField("end_time") else None
    except InvalidValue as error:
        raise invalid(str(error)) from error
    if start is not None and end is not None and end < start:
        raise invalid("end_time: is before start_time")
    return Window(start, end, frozenset(request.metric_names))


def _time(pb: Timestamp, path: str) -> float:
    return unix_from_pb(pb, path)


def _aggregated(points: Iterable[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """One value per name, at the time of its newest point.

    Of counters the sum over all labels of their newest values; of what may be added up, such as open connections, the
    mean over time of the sums over all labels; of everything else the plain mean.
    """
    by_name: dict[str, list[tuple[float, Point]]] = defaultdict(list)
    for at, point in points:
        by_name[point.name].append((at, point))
    return [(values[-1][0], Point(name, _one(name, values))) for name, values in by_name.items()]


def _one(name: str, values: Sequence[tuple[float, Point]]) -> float:
    if name.endswith("_total") or name.startswith("total_"):
        return sum({point.labels: point.value for _, point in values}.values())
    if name.endswith("_active") or name.startswith("active_"):
        sums: dict[float, float] = defaultdict(float)
        for at, point in values:
            sums[at] += point.value
        return fmean(sums.values())
    return fmean(point.value for _, point in values)
