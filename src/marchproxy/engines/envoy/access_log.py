"""Access logs as Envoy writes them: lines of JSON into a file, of all events or a share of them.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage
"""

from collections.abc import Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import struct_pb2

from marchproxy.engines.envoy.messages import pack

_PER_MILLION = 10_000  # of a percent
_Filter = accesslog_pb2.AccessLogFilter


def json_lines(path: str, fields: Mapping[str, str], wanted: Any) -> accesslog_pb2.AccessLog:
    """Lines with these fields, texts with Envoy's %COMMANDS%, of what the filter `wanted` takes; empty ones are left out."""
    line = struct_pb2.Struct()
    line.update(dict(fields))
    form = substitution_format_string_pb2.SubstitutionFormatString(json_format=line, omit_empty_values=True)
    config = file_pb2.FileAccessLog(path=path, log_format=form)
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.file", filter=wanted, typed_config=pack(config))


def share(percent: float, runtime_key: str) -> accesslog_pb2.AccessLogFilter:
    """So many of all, drawn at random, to a ten-thousandth of a percent.

    Changing `runtime_key` in Envoy's admin API changes the share until the next restart.
    """
    fraction = percent_pb2.FractionalPercent(
        numerator=round(percent * _PER_MILLION), denominator=percent_pb2.FractionalPercent.MILLION
    )
    return _Filter(
        runtime_filter=accesslog_pb2.RuntimeFilter(
            runtime_key=runtime_key, percent_sampled=fraction, use_independent_randomness=True
        )
    )


def status_from(lowest: int, runtime_key: str) -> accesslog_pb2.AccessLogFilter:
    """Answers with this status or a higher one."""
    return _Filter(
        status_code_filter=accesslog_pb2.StatusCodeFilter(comparison=_at_least(lowest, runtime_key))
    )


def slower_than(seconds: float, runtime_key: str) -> accesslog_pb2.AccessLogFilter:
    """Requests that took so long, to the millisecond, or longer."""
    milliseconds = round(seconds * 1000)
    return _Filter(
        duration_filter=accesslog_pb2.DurationFilter(comparison=_at_least(milliseconds, runtime_key))
    )


def any_of(*filters: accesslog_pb2.AccessLogFilter) -> accesslog_pb2.AccessLogFilter:
    """What at least one of them takes."""
    if len(filters) == 1:
        return filters[0]
    return _Filter(or_filter=accesslog_pb2.OrFilter(filters=filters))


def _at_least(value: int, runtime_key: str) -> accesslog_pb2.ComparisonFilter:
    return accesslog_pb2.ComparisonFilter(
        op=accesslog_pb2.ComparisonFilter.GE,
        value=base_pb2.RuntimeUInt32(default_value=value, runtime_key=runtime_key),
    )
