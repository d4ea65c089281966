"""Statistics of routes: what became of each one's requests, counted as they end, under the route's name.

Envoy's own (`stat_prefix` of a route) are made anew for every route at every change of one: of 5,000 routes that is more
than half of what a change costs (ADR 0020). These are made when a route meets its first request.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/access_loggers/stats/v3/stats.proto
"""

from collections.abc import Iterator
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import pack

#: What every name begins with; then follow what is counted, its tags and their values, ROUTE_TAG and the route's id last.
PREFIX = "routes"
#: Requests that were answered, by CODE_TAG.
COMPLETED = "completed"
#: Milliseconds from the request's first byte to the answer's last, upgraded connections left out.
TIME = "time"
ROUTE_TAG = "route"
#: The status of the answer.
CODE_TAG = "code"

_Config = stats_pb2.Config
_INFORMATIONAL, _FINAL = 100, 200
_ONE = wrappers_pb2.UInt64Value(value=1)


def route_statistics() -> Iterator[accesslog_pb2.AccessLog]:
    """The access logs that count. A request that was never answered, because its client had gone, counts nowhere."""
    yield _log(_INFORMATIONAL, _Config(counters=[_counter(COMPLETED)]))
    yield _log(_FINAL, _Config(histograms=[_histogram(TIME)]))


def _log(least: int, config: Any) -> accesslog_pb2.AccessLog:
    """For answers of at least this status."""
    config.stat_prefix = PREFIX
    comparison = accesslog_pb2.ComparisonFilter(
        op=accesslog_pb2.ComparisonFilter.GE,
        value=base_pb2.RuntimeUInt32(default_value=least, runtime_key="marchproxy.routes.status"),
    )
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stats",
        typed_config=pack(config),
        filter=accesslog_pb2.AccessLogFilter(
            status_code_filter=accesslog_pb2.StatusCodeFilter(comparison=comparison)
        ),
    )


def _counter(name: str) -> Any:
    code = _Config.Tag(name=CODE_TAG, value_format="%RESPONSE_CODE%")
    return _Config.Counter(stat=_stat(name, code), value_fixed=_ONE)


def _histogram(name: str) -> Any:
    return _Config.Histogram(stat=_stat(name), unit=_Config.Histogram.Milliseconds, value_format="%DURATION%")


def _stat(name: str, *tags: Any) -> Any:
    route = _Config.Tag(name=ROUTE_TAG, value_format="%ROUTE_NAME%")
    return _Config.Stat(name=name, tags=[*tags, route])
