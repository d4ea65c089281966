"""Rate limits as Envoy's local rate limit filters: one filter per time unit and scope, off until a route turns it on.

The filters stand in the listener once and for all, so a new limit changes routes only and drains no connection.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/local_rate_limit_filter
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.v3 import percent_pb2, token_bucket_pb2
from google.protobuf import any_pb2, wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.model.limit import RateLimit


class Scope(Enum):
    """What shares one bucket: a route, or everything the module serves."""

    ROUTE = "route"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class _Unit:
    name: str
    seconds: int


_UNITS = (_Unit("second", 1), _Unit("minute", 60), _Unit("hour", 3600))


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


def limit_configs(limit: RateLimit, scope: Scope) -> dict[str, any_pb2.Any]:
    """The per-route (or per-route-configuration) settings that turn the filters on for one limit."""
    if not limit.enabled:
        return {}
    rates = (limit.per_second, limit.per_minute, limit.per_hour)
    return {
        filter_name(scope, unit.name): pack(_local_limit(limit, scope, unit, rate))
        for unit, rate in zip(_UNITS, rates, strict=True)
        if rate
    }


def _local_limit(limit: RateLimit, scope: Scope, unit: _Unit, rate: int) -> Any:
    size = limit.burst if unit.seconds == 1 and limit.burst else rate
    always = base_pb2.RuntimeFractionalPercent(default_value=percent_pb2.FractionalPercent(numerator=100))
    return local_rate_limit_pb2.LocalRateLimit(
        stat_prefix=f"limit_{scope.value}",
        token_bucket=token_bucket_pb2.TokenBucket(
            max_tokens=max(size, 1),
            tokens_per_fill=wrappers_pb2.UInt32Value(value=rate),
            fill_interval=duration(unit.seconds),
        ),
        filter_enabled=always,
        filter_enforced=always,
        enable_x_ratelimit_headers=ratelimit_pb2.DRAFT_VERSION_03,
        response_headers_to_add=[
            base_pb2.HeaderValueOption(
                header=base_pb2.HeaderValue(key="retry-after", value=str(_seconds_per_token(unit, rate))),
                append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
            )
        ],
    )


def _seconds_per_token(unit: _Unit, rate: int) -> int:
    """After how many whole seconds one more request fits (RFC 9110, section 10.2.3)."""
    return max(1, -(-unit.seconds // rate))
