"""Seconds as protobuf durations."""

from google.protobuf.duration_pb2 import Duration


def duration(seconds: float) -> Duration:
    """`seconds` as a Duration, to the microsecond."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=micros * 1000)
