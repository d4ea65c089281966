"""Words: single values of the contract as people read them. No I/O."""

from marchproxy.contract.pb import types_pb2


def rates(limit: types_pb2.RateLimit, instances: int = 1) -> str:
    """A limit's rates in words, and among how many instances they are divided, where they are."""
    given = {
        "a second": limit.requests_per_second,
        "a minute": limit.requests_per_minute,
        "an hour": limit.requests_per_hour,
    }
    counted = " connections" if limit.counts == types_pb2.LIMIT_UNIT_CONNECTIONS else ""
    found = [f"{rate}{counted} {unit}" for unit, rate in given.items() if rate]
    if limit.max_concurrent:
        found.append(f"{limit.max_concurrent} connections at once")
    text = ", ".join(found)
    is_shared = limit.shared if limit.HasField("shared") else True
    return f"{text} among {instances} instances" if is_shared and instances > 1 else text


def health(status: types_pb2.HealthStatus.ValueType) -> str:
    """A health status as a word."""
    return (
        types_pb2.HealthStatus.Name(status)
        .removeprefix("HEALTH_STATUS_")
        .lower()
        .replace("unspecified", "unknown")
    )


def share(ref: types_pb2.BackendRef, route: types_pb2.Route) -> int:
    """Percent of the route's traffic; a backend that is alone may leave it out."""
    return 100 if len(route.backends) == 1 and not ref.weight else ref.weight
