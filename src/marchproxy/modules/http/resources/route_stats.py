"""Statistics of routes and of their pools: what became of each request, counted as it ends.

Envoy's own (`stat_prefix` of a route) are made anew for every route at every change of one: of 5,000 routes that is more
than half of what a change costs (ADR 0020). These are made when a route meets its first request, and stand for Envoy's own
of pools too (`dynamic_stats` of the router), which would cost a request more than these do.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/access_loggers/stats/v3/stats.proto
"""

from collections.abc import Iterator
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import pack

#: What every name begins with; then follow what is counted and TAG with its value.
PREFIX = "routes"
#: Requests that were answered; the value is `status/attempts/cluster/route`.
COMPLETED = "completed"
#: Milliseconds from the request's first byte to the answer's last, upgraded connections left out: `attempts/cluster/route`.
TIME = "time"
#: One tag for all: each costs a request as much as what it tells. No name has a `/`.
TAG = "of"
# a request that was answered here, by a refusal for one, was attempted 0 times, whatever cluster its route has
_ATTEMPTS = "%UPSTREAM_REQUEST_ATTEMPT_COUNT%/%UPSTREAM_CLUSTER%/%ROUTE_NAME%"
# of no route; Envoy tries it once
_COPY = "1/%UPSTREAM_CLUSTER%/"

_Config = stats_pb2.Config
_Comparison = accesslog_pb2.ComparisonFilter
_INFORMATIONAL, _FINAL = 100, 200
_ONE = wrappers_pb2.UInt64Value(value=1)


def route_statistics() -> Iterator[accesslog_pb2.AccessLog]:
    """The access logs that count. A request that was never answered, because its client had gone, counts nowhere."""
    yield _log(_status(_INFORMATIONAL), counters=[_counter(f"%RESPONSE_CODE%/{_ATTEMPTS}")])
    yield _log(_status(_FINAL), histograms=[_histogram(_ATTEMPTS)])


def copy_statistics() -> Iterator[accesslog_pb2.AccessLog]:
    """The same of what Envoy copies for mirrors, by pool alone: logs of the router's own requests, few of which are copies.

    A copy that is not answered is a failure: nobody else would tell that a mirror is down.
    """
    answered = _status(_INFORMATIONAL)
    yield _log(
        _all_of(_copied(), answered),
        counters=[_counter(f"%RESPONSE_CODE%/{_COPY}")],
        histograms=[_histogram(_COPY)],
    )
    yield _log(
        _all_of(_copied(), _status(_INFORMATIONAL - 1, _Comparison.LE)), counters=[_counter(f"503/{_COPY}")]
    )


def _log(wanted: Any, **counted: Any) -> accesslog_pb2.AccessLog:
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stats",
        typed_config=pack(_Config(stat_prefix=PREFIX, **counted)),
        filter=wanted,
    )


def _status(bound: int, op: Any = _Comparison.GE) -> Any:
    """Answers of at least this status."""
    comparison = _Comparison(
        op=op, value=base_pb2.RuntimeUInt32(default_value=bound, runtime_key="marchproxy.routes.status")
    )
    return accesslog_pb2.AccessLogFilter(
        status_code_filter=accesslog_pb2.StatusCodeFilter(comparison=comparison)
    )


def _copied() -> Any:
    """Requests that Envoy makes itself: it takes this header off what a client sends."""
    header = route_components_pb2.HeaderMatcher(name="x-envoy-internal", present_match=True)
    return accesslog_pb2.AccessLogFilter(header_filter=accesslog_pb2.HeaderFilter(header=header))


def _all_of(*filters: Any) -> Any:
    return accesslog_pb2.AccessLogFilter(and_filter=accesslog_pb2.AndFilter(filters=filters))


def _counter(value: str) -> Any:
    return _Config.Counter(stat=_stat(COMPLETED, value), value_fixed=_ONE)


def _histogram(value: str) -> Any:
    return _Config.Histogram(
        stat=_stat(TIME, value), unit=_Config.Histogram.Milliseconds, value_format="%DURATION%"
    )


def _stat(name: str, value: str) -> Any:
    return _Config.Stat(name=name, tags=[_Config.Tag(name=TAG, value_format=value)])
