"""Reports: Envoy tells the decider how each request ended that it let pass, which of them go on, and whose client has gone.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/access_loggers/grpc/v3/als.proto
"""

from pathlib import Path
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, grpc_service_pb2, substitution_format_string_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as data_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.access_loggers.grpc.v3 import als_pb2
from envoy.type.matcher.v3 import metadata_pb2, value_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.deciding import TOLD
from marchproxy.modules.ailb.resources.own_clusters import REPORTS

_FLUSH_SECONDS = 0.05  # how long a report may wait for others
# What may wait in Envoy, too, while the decider is behind: what does not fit is dropped, and then only a deadline settles the
# request. A thousand entries are about a megabyte. The decider takes messages of 16 MiB.
_FLUSH_BYTES = 8 * 1024 * 1024
#: Seconds between two reports of a request that goes on: nobody else knows that it does.
ALIVE_SECONDS = 60.0
# a client has gone (or Envoy lost patience with it), perhaps while the decider was asked: then Envoy does not know what it was told
_GONE = ("DC", "DR", "DPE", "SI", "DT", "OM")
_FIRST_BYTE = "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us)%"

_COMMANDS = {
    "at": "%EMIT_TIME(%s)%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "host": "%UPSTREAM_REMOTE_ADDRESS%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "sent": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    asking.FIRST_BYTE: _FIRST_BYTE,
    asking.REQUEST_ID: f"%REQ({asking.REQUEST_ID})%",
    "refused": f"%RESP({asking.PROVIDER_STATUS})%",
    "told": f"%DYNAMIC_METADATA({asking.AUTHZ})%",
    "used": f"%DYNAMIC_METADATA({asking.USAGE})%",
}


def reports() -> Any:
    """The access log."""
    common = als_pb2.CommonGrpcAccessLogConfig(
        log_name="ai",
        transport_api_version="V3",
        grpc_service=grpc_service_pb2.GrpcService(
            envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=REPORTS)
        ),
        buffer_flush_interval=duration(_FLUSH_SECONDS),
        buffer_size_bytes=wrappers_pb2.UInt32Value(value=_FLUSH_BYTES),
        custom_tags=[custom_tag_pb2.CustomTag(tag=asking.FIRST_BYTE, value=_FIRST_BYTE)],
    )
    config = als_pb2.HttpGrpcAccessLogConfig(
        common_config=common, additional_response_headers_to_log=[asking.PROVIDER_STATUS]
    )
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.http_grpc",
        typed_config=pack(config),
        filter=_either(
            accesslog_pb2.AccessLogFilter(metadata_filter=_has_passed()),
            accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=_GONE)),
        ),
    )


def written(path: Path) -> Any:
    """The same of ends, into a file: entries that the decider was sent are lost with it, lines are not.

    No JSON but what is JSON already: Envoy's takes four times the instructions for the same line.
    """
    line = "\t".join([_COMMANDS[name] for name in asking.WRITTEN]) + "\n"
    form = substitution_format_string_pb2.SubstitutionFormatString(
        text_format_source=base_pb2.DataSource(inline_string=line)
    )
    log = accesslog_pb2.AccessLog(
        name="envoy.access_loggers.file",
        typed_config=pack(file_pb2.FileAccessLog(path=str(path), log_format=form)),
        filter=accesslog_pb2.AccessLogFilter(metadata_filter=_has_passed()),
    )
    of_ends(log)
    return log


def of_ends(log: Any) -> None:
    """Have an access log say nothing of requests that go on."""
    ends = accesslog_pb2.AccessLogFilter(
        log_type_filter=accesslog_pb2.LogTypeFilter(types=[data_pb2.DownstreamPeriodic], exclude=True)
    )
    if log.HasField("filter"):
        before = accesslog_pb2.AccessLogFilter()
        before.CopyFrom(log.filter)
        ends = accesslog_pb2.AccessLogFilter(and_filter=accesslog_pb2.AndFilter(filters=[before, ends]))
    log.filter.CopyFrom(ends)


def _either(*filters: Any) -> Any:
    return accesslog_pb2.AccessLogFilter(or_filter=accesslog_pb2.OrFilter(filters=filters))


def _has_passed() -> Any:
    """Of what was refused, nothing is reserved."""
    matcher = metadata_pb2.MetadataMatcher(
        filter=TOLD,
        path=[metadata_pb2.MetadataMatcher.PathSegment(key=asking.ID)],
        value=value_pb2.ValueMatcher(present_match=True),
    )
    return accesslog_pb2.MetadataFilter(
        matcher=matcher, match_if_key_not_found=wrappers_pb2.BoolValue(value=False)
    )
