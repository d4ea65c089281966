"""Metrics: points of a series."""

from collections.abc import Iterable

from marchproxy.contract.convert.times import unix_from_pb, unix_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.series import Point


def points_to_pb(points: Iterable[tuple[float, Point]]) -> list[types_pb2.MetricDataPoint]:
    """The messages of points and their times (Unix seconds), as `Series.between` yields them."""
    return [
        types_pb2.MetricDataPoint(
            name=point.name, value=point.value, labels=dict(point.labels), timestamp=unix_to_pb(at)
        )
        for at, point in points
    ]


def points_from_pb(
    pbs: Iterable[types_pb2.MetricDataPoint], *, now: float, path: str = "metrics"
) -> list[tuple[float, Point]]:
    """The points and their times; one without a time is from `now`. Raises InvalidValue on a malformed time."""
    return [
        (
            unix_from_pb(pb.timestamp, f"{path}[{index}].timestamp") if pb.HasField("timestamp") else now,
            Point(pb.name, pb.value, tuple(sorted(pb.labels.items()))),
        )
        for index, pb in enumerate(pbs)
    ]
