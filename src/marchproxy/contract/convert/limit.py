"""Rate limits."""

from collections.abc import Iterable

from marchproxy.contract.convert.enums import LIMIT_UNITS
from marchproxy.contract.convert.faults import Faults, read_all, read_one
from marchproxy.contract.pb import types_pb2
from marchproxy.model.limit import LimitId, LimitUnit, RateLimit


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
        counts=LIMIT_UNITS.to_pb(None if limit.counts is LimitUnit.REQUESTS else limit.counts),
        max_concurrent=limit.max_concurrent,
        metadata=limit.metadata,
    )


def limit_from_pb(pb: types_pb2.RateLimit, path: str = "limit") -> RateLimit:
    """The limit. Raises InvalidValue with every problem of the message; the model's checks come after."""
    return read_one(pb, path, _read_limit)


def limits_from_pb(pbs: Iterable[types_pb2.RateLimit], path: str = "limits") -> tuple[RateLimit, ...]:
    """The limits. Raises InvalidValue with every problem of every message."""
    return read_all(pbs, path, _read_limit)


def _read_limit(pb: types_pb2.RateLimit, path: str, faults: Faults) -> RateLimit:
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
        counts=LIMIT_UNITS.read(pb.counts, f"{path}.counts", faults) or LimitUnit.REQUESTS,
        max_concurrent=pb.max_concurrent,
        metadata=dict(pb.metadata),
    )
