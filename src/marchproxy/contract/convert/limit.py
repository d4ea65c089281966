"""Rate limits."""

from collections.abc import Iterable

from marchproxy.contract.pb import types_pb2
from marchproxy.model.limit import LimitId, RateLimit


def limit_to_pb(limit: RateLimit) -> types_pb2.RateLimit:
    """The message."""
    return types_pb2.RateLimit(
        limit_id=limit.limit_id,
        target=limit.target,
        requests_per_second=limit.per_second,
        requests_per_minute=limit.per_minute,
        requests_per_hour=limit.per_hour,
        burst_size=limit.burst,
        enabled=limit.enabled,
        per=limit.per,
        shared=None if limit.shared else False,
        metadata=limit.metadata,
    )


def limit_from_pb(pb: types_pb2.RateLimit) -> RateLimit:
    """The limit; any message can be read, the model's checks come after."""
    return RateLimit(
        limit_id=LimitId(pb.limit_id),
        target=pb.target,
        per_second=pb.requests_per_second,
        per_minute=pb.requests_per_minute,
        per_hour=pb.requests_per_hour,
        burst=pb.burst_size,
        enabled=pb.enabled,
        per=pb.per,
        shared=pb.shared if pb.HasField("shared") else True,
        metadata=dict(pb.metadata),
    )


def limits_from_pb(pbs: Iterable[types_pb2.RateLimit]) -> tuple[RateLimit, ...]:
    """The limits."""
    return tuple(limit_from_pb(pb) for pb in pbs)
