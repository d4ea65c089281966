"""Common: what every Envoy of ours tells of itself, of its control plane and of its listeners, as a table.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/listeners/stats
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/statistics
"""

import re
from collections.abc import Mapping

from marchproxy.engines.envoy.metrics.family import counter, gauge
from marchproxy.engines.envoy.metrics.source import Cell, Source, cell

_UPDATES = counter("xds_updates", "Answers of the control plane, by type and whether Envoy took them.")
_DROPPED = counter("listener_dropped", "Connections that a listener refused or gave up, by reason.")
_HANDSHAKES = counter("listener_tls_handshakes", "TLS handshakes that clients completed.")
_TLS_ERRORS = counter("listener_tls_errors", "TLS handshakes with clients that failed, by reason.")

_TLS_REASONS = {
    "ssl.connection_error": "handshake",
    "ssl.fail_verify_no_cert": "no_certificate",
    "ssl.fail_verify_error": "not_trusted",
    "ssl.fail_verify_san": "wrong_name",
    "ssl.fail_verify_cert_hash": "wrong_hash",
}


def updates(kind: str) -> Mapping[str, Cell]:
    """The cells of one type of xDS resource, below where Envoy counts its updates."""
    results = {"update_success": "ok", "update_rejected": "rejected", "update_failure": "failed"}
    return {stat: cell(_UPDATES, type=kind, result=result) for stat, result in results.items()}


SERVER = Source(
    r"server\.<stat>",
    {
        "live": cell(gauge("live", "1: Envoy serves and does not drain.")),
        "uptime": cell(gauge("uptime_seconds", "How long this Envoy has run.")),
        "memory_allocated": cell(gauge("memory_allocated_bytes", "Memory that Envoy uses.")),
        "memory_heap_size": cell(gauge("memory_heap_bytes", "Memory that Envoy has reserved.")),
        "total_connections": cell(gauge("server_connections", "Open connections of clients, all listeners.")),
    },
)
CONTROL_PLANE = Source(
    r"control_plane\.<stat>",
    {"connected_state": cell(gauge("xds_connected", "1: Envoy is connected to its control plane."))},
)
UPDATES = (
    Source(r"cluster_manager\.cds\.<stat>", updates("cluster")),
    Source(r"listener_manager\.lds\.<stat>", updates("listener")),
    Source(r"sds\..+\.<stat>", updates("secret")),
    Source(r"extension_config_discovery\..+\.<stat>", updates("filter")),
)
LISTENERS = Source(
    # those of this host: not the admin API's, nor the workers' shares of each
    r"listener\.(?P<address>(?:(?:tcp|udp)\.)?[0-9a-f.:_\[\]]+)\.<stat>",
    {
        "downstream_cx_total": cell(counter("listener_connections", "Connections that were accepted.")),
        "downstream_cx_active": cell(gauge("listener_connections_open", "Connections that are open.")),
        "downstream_cx_overflow": cell(_DROPPED, reason="listener_limit"),
        "downstream_global_cx_overflow": cell(_DROPPED, reason="global_limit"),
        "downstream_cx_overload_reject": cell(_DROPPED, reason="overload"),
        "downstream_pre_cx_timeout": cell(_DROPPED, reason="silent"),
        "downstream_listener_filter_error": cell(_DROPPED, reason="bad_header"),
        "downstream_cx_transport_socket_connect_timeout": cell(_DROPPED, reason="tls_timeout"),
        "no_filter_chain_match": cell(_DROPPED, reason="nobody_serves_it"),
        "ssl.handshake": cell(_HANDSHAKES),
        **{stat: cell(_TLS_ERRORS, reason=reason) for stat, reason in _TLS_REASONS.items()},
    },
    spell=lambda name: re.sub(r"^(?:tcp\.|udp\.)?(.*)[._](\d+)$", r"\1:\2", name),
)
#: Of every Envoy.
COMMON = (SERVER, CONTROL_PLANE, *UPDATES, LISTENERS)
