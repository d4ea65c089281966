"""Rate limits as Envoy's local rate limit filters: one filter per time unit and scope, off until a route turns it on.

The filters stand in the listener once and for all, so a new limit changes routes only and drains no connection.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/local_rate_limit_filter
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.v3 import percent_pb2, token_bucket_pb2
from google.protobuf import any_pb2, wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.model.limit import RateLimit
from marchproxy.modules.alb.resources.edits import replaced_header


class Scope(Enum):
    """What shares one bucket: a route, or everything the module serves."""

    ROUTE = "route"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class _Unit:
    name: str
    seconds: int

    def of(self, limit: RateLimit) -> int:
        """The limit's rate in this unit, 0: none."""
        rates: dict[int, int] = {1: limit.per_second, 60: limit.per_minute, 3600: limit.per_hour}
        return rates[self.seconds]


_UNITS = (_Unit("second", 1), _Unit("minute", 60), _Unit("hour", 3600))
_ENDLESS = 2**32 - 1
#: How many clients, or values of a header, one rate counts at once; Envoy's own 20 would forget most of them.
_MOST_BUCKETS = 10_000
_Action = route_pb2.RateLimit.Action


def filter_name(scope: Scope, unit: str) -> str:
    """The name of the filter for one scope and time unit."""
    return f"marchproxy.limit.{scope.value}.{unit}"


def limit_filters() -> Iterator[Any]:
    """The filters of every scope and unit, all disabled."""
    for scope in (Scope.EVERYTHING, Scope.ROUTE):
        for unit in _UNITS:
            yield hcm_pb2.HttpFilter(
                name=filter_name(scope, unit.name),
                typed_config=pack(local_rate_limit_pb2.LocalRateLimit(stat_prefix=f"limit_{scope.value}")),
                disabled=True,
            )


def limit_configs(limits: Iterable[RateLimit], scope: Scope) -> dict[str, any_pb2.Any]:
    """The per-route (or per-route-configuration) settings that turn the filters on for the limits of one target."""
    active = [limit for limit in limits if limit.enabled]
    configs: dict[str, any_pb2.Any] = {}
    for unit in _UNITS:
        if rates := [_Rate(limit, unit, rate) for limit in active if (rate := unit.of(limit))]:
            configs[filter_name(scope, unit.name)] = pack(_local_limit(rates, scope))
    return configs


@dataclass(frozen=True, slots=True)
class _Rate:
    """One of a limit's rates."""

    limit: RateLimit
    unit: _Unit
    count: int

    def bucket(self) -> Any:
        size = self.limit.burst if self.unit.seconds == 1 and self.limit.burst else self.count
        return _bucket(max(size, 1), self.count, self.unit.seconds)


def _local_limit(rates: Sequence[_Rate], scope: Scope) -> Any:
    """One filter's settings; at most one of the rates counts everybody together, and that one always."""
    always = base_pb2.RuntimeFractionalPercent(default_value=percent_pb2.FractionalPercent(numerator=100))
    seconds = max(_seconds_per_token(rate.unit, rate.count) for rate in rates)
    message = local_rate_limit_pb2.LocalRateLimit(
        stat_prefix=f"limit_{scope.value}",
        filter_enabled=always,
        filter_enforced=always,
        enable_x_ratelimit_headers=ratelimit_pb2.DRAFT_VERSION_03,
        response_headers_to_add=[replaced_header("retry-after", str(seconds))],
    )
    message.always_consume_default_token_bucket.value = False
    # the bucket of requests that nothing else counts: none, unless there is a rate for all
    message.token_bucket.CopyFrom(_bucket(_ENDLESS, _ENDLESS, rates[0].unit.seconds))
    for rate in rates:
        if rate.limit.per:
            _count_each(message, rate)
        else:
            message.token_bucket.CopyFrom(rate.bucket())
            message.always_consume_default_token_bucket.value = True
    return message


def _count_each(message: Any, rate: _Rate) -> None:
    """Give each client or each value of a header a bucket, made when it is first seen; the oldest of many is forgotten."""
    message.max_dynamic_descriptors.value = _MOST_BUCKETS
    kind, _, header = rate.limit.per.partition(":")
    if kind == "client":
        message.rate_limits.add().actions.add().remote_address.SetInParent()
        _describe(message, "remote_address", "", rate)
        return
    present, absent = f"header {header.lower()}", f"no header {header.lower()}"
    message.rate_limits.add().actions.add(
        request_headers=_Action.RequestHeaders(header_name=header, descriptor_key=present)
    )
    _describe(message, present, "", rate)
    # who leaves the header out shares one bucket with all who do, so that this is no way around
    message.rate_limits.add().actions.add(
        header_value_match=_Action.HeaderValueMatch(
            descriptor_key=absent,
            descriptor_value="-",
            expect_match=wrappers_pb2.BoolValue(value=False),
            headers=[route_pb2.HeaderMatcher(name=header, present_match=True)],
        )
    )
    _describe(message, absent, "-", rate)


def _describe(message: Any, key: str, value: str, rate: _Rate) -> None:
    entry = ratelimit_pb2.RateLimitDescriptor.Entry(key=key, value=value)  # no value: one bucket for each
    message.descriptors.add(entries=[entry], token_bucket=rate.bucket())


def _bucket(size: int, count: int, seconds: int) -> Any:
    return token_bucket_pb2.TokenBucket(
        max_tokens=size,
        tokens_per_fill=wrappers_pb2.UInt32Value(value=count),
        fill_interval=duration(seconds),
    )


def _seconds_per_token(unit: _Unit, rate: int) -> int:
    """After how many whole seconds one more request fits (RFC 9110, section 10.2.3)."""
    return max(1, -(-unit.seconds // rate))
