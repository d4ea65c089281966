"""Seconds as protobuf durations."""

from google.protobuf.duration_pb2 import Duration


def duration(seconds: float) -> Duration:
    """`seconds` as a Duration, to the microsecond."""
    whole = int(seconds)
    return Duration(seconds=whole, nanos=round((seconds - whole) * 1_000_000) * 1000)
