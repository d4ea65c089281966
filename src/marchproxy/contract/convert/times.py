"""Times: seconds and datetimes, and protobuf's Duration and Timestamp. Exact to the nanosecond and microsecond."""

from datetime import UTC, datetime
from math import floor

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract.convert.faults import Faults
from marchproxy.model.problem import InvalidValue, Problem

_NANOS = 1_000_000_000
#: about 10,000 years; google/protobuf/duration.proto
_LONGEST = 315_576_000_000


def seconds_to_pb(seconds: float) -> Duration:
    """The duration. Raises InvalidValue when it is infinite or beyond what a Duration holds."""
    if not -_LONGEST <= seconds <= _LONGEST:
        raise InvalidValue([Problem("", f"{seconds} s is longer than a duration can be")])
    nanos = round(seconds * _NANOS)
    whole = abs(nanos) // _NANOS * (1 if nanos >= 0 else -1)
    return Duration(seconds=whole, nanos=nanos - whole * _NANOS)


def read_seconds(pb: Duration, path: str, faults: Faults) -> float:
    """Seconds; 0 and a fault for a duration that is malformed or negative."""
    mixed = pb.seconds * pb.nanos < 0
    if mixed or abs(pb.seconds) > _LONGEST or abs(pb.nanos) >= _NANOS:
        faults.add(path, f"seconds {pb.seconds} and nanos {pb.nanos} do not make a duration")
        return 0.0
    if pb.seconds < 0 or pb.nanos < 0:
        faults.add(path, "is negative")
        return 0.0
    return (pb.seconds * _NANOS + pb.nanos) / _NANOS


def moment_to_pb(moment: datetime) -> Timestamp:
    """The timestamp of a datetime, which must know its time zone."""
    pb = Timestamp()
    pb.FromDatetime(moment.astimezone(UTC))
    return pb


def unix_to_pb(at: float) -> Timestamp:
    """The timestamp of Unix seconds."""
    whole = floor(at)
    nanos = round((at - whole) * _NANOS)  # the fraction alone: the product of the whole would lose digits
    return Timestamp(seconds=whole + nanos // _NANOS, nanos=nanos % _NANOS)


def read_moment(pb: Timestamp, path: str, faults: Faults) -> datetime | None:
    """The datetime, UTC; None and a fault when there is no such time."""
    try:
        return pb.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        faults.add(path, f"is not a point in time: {error}")
        return None


def unix_from_pb(pb: Timestamp, path: str) -> float:
    """Unix seconds. Raises InvalidValue when there is no such time."""
    faults = Faults()
    read_moment(pb, path, faults)
    faults.raise_any()
    return (pb.seconds * _NANOS + pb.nanos) / _NANOS
