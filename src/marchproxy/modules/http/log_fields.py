"""Log fields: what a line of the access log can say, as names in our words and Envoy's operators."""

from collections.abc import Mapping
from types import MappingProxyType

#: What is logged where nothing else is asked for. The path is without its query, which may hold secrets.
USUAL: Mapping[str, str] = MappingProxyType(
    {
        "time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%PATH(NQ)%",
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS_LONG%",
        "route": "%ROUTE_NAME%",
        "pool": "%CLUSTER_METADATA(marchproxy:pool)%",
        "endpoint": "%UPSTREAM_HOST%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
        "backend_ms": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "user_agent": "%REQ(USER-AGENT)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "trace_id": "%TRACE_ID%",
        "tls_version": "%DOWNSTREAM_TLS_VERSION%",
        "server_name": "%REQUESTED_SERVER_NAME%",
    }
)
#: All fields that have a name.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        **USUAL,
        "query": "%QUERY_PARAMS(ORIG)%",
        "referer": "%REQ(REFERER)%",
        "forwarded_for": "%REQ(X-FORWARDED-FOR)%",
        "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
        "listening": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "connection": "%CONNECTION_ID%",
        "reason": "%RESPONSE_CODE_DETAILS%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "backend_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "backend_protocol": "%UPSTREAM_PROTOCOL%",
        "request_ms": "%REQUEST_DURATION%",
        "grpc_status": "%GRPC_STATUS%",
        "span_id": "%SPAN_ID%",
        "tls_cipher": "%DOWNSTREAM_TLS_CIPHER%",
        "client_certificate": "%DOWNSTREAM_PEER_SUBJECT%",
    }
)
