"""The bootstrap an Envoy starts from: admin API and one xDS server; everything else arrives over xDS.

Written as plain JSON in Envoy's own words; a test parses it into the typed Bootstrap, so a misspelt field fails there.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/bootstrap/v3/bootstrap.proto
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marchproxy.engines.envoy.statistics import kept_statistics
from marchproxy.kit.settings.types import HostPort

XDS_CLUSTER = "marchproxy_xds"

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPE = "type.googleapis.com/"
# no fetch timeout: without it Envoy gives up after 15 s and calls itself LIVE with no listener at all
_OVER_ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


@dataclass(frozen=True, slots=True)
class BootstrapSpec:
    """What differs between two Envoys.

    `ads_socket` is the Unix socket of the ADS server (at most 107 bytes long). `max_connections` bounds downstream
    connections of the whole process; the default is Envoy's advice for an edge proxy. `stats_flush_seconds` is the
    window of interval quantiles: histograms change only when it ends. `max_regex_program` bounds the compiled size of
    a route's regex: Envoy's own 100 refuses patterns as plain as `[a-z0-9-]{1,64}`. `runtime` names a runtime layer that
    is taken over ADS (RTDS); with one, Envoy asks for it first, and for nothing else before it has it. `fleet` names Envoy's
    local cluster, whose members are taken over ADS (EDS), before any other cluster; none: it has no local cluster.
    """

    node_id: str
    cluster: str
    admin: HostPort
    ads_socket: Path
    max_connections: int = 50_000
    stats_flush_seconds: float = 5.0
    max_regex_program: int = 5_000
    runtime: str = ""
    fleet: str = ""


def render(spec: BootstrapSpec) -> bytes:
    """Return the bootstrap as JSON; the same spec always gives the same bytes. Raises ValueError for a long socket path."""
    if len(bytes(spec.ads_socket)) > 107:
        raise ValueError(
            f"the ADS socket path {spec.ads_socket} is longer than the 107 bytes a Unix socket may have"
        )
    clusters = [_ads_cluster(spec.ads_socket), *_local_cluster(spec.fleet)]
    document = {
        "node": {"id": spec.node_id, "cluster": spec.cluster},
        "admin": _admin(spec.admin),
        "dynamic_resources": _dynamic_resources(),
        "static_resources": {"clusters": clusters},
        **({"cluster_manager": {"local_cluster_name": spec.fleet}} if spec.fleet else {}),
        "layered_runtime": {"layers": list(_runtime_layers(spec))},
        "overload_manager": _connection_limit(spec.max_connections),
        **kept_statistics(),
        "stats_flush_interval": f"{spec.stats_flush_seconds:g}s",
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _admin(address: HostPort) -> dict[str, Any]:
    socket_address = {"address": address.host, "port_value": address.port}
    # the API must answer exactly when the connection limit is reached
    return {"address": {"socket_address": socket_address}, "ignore_global_conn_limit": True}


def _runtime_layers(spec: BootstrapSpec) -> Iterator[dict[str, Any]]:
    fixed = {
        "re2.max_program_size.error_level": spec.max_regex_program,
        # Envoy's own 5 and 5,000 make a call to the collector of every third request, and wait long for the last
        "tracing.opentelemetry.min_flush_spans": 128,
        "tracing.opentelemetry.flush_interval_ms": 1000,
    }
    yield {"name": "static", "static_layer": fixed}
    if spec.runtime:
        yield {"name": spec.runtime, "rtds_layer": {"name": spec.runtime, "rtds_config": _OVER_ADS}}
    yield {"name": "admin", "admin_layer": {}}


def _dynamic_resources() -> dict[str, Any]:
    # a supervisor that comes back is found within a second; Envoy's own maximum is 30 s
    reconnect = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}
    return {
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER, "retry_policy": reconnect}}],
        },
        "cds_config": _OVER_ADS,
        "lds_config": _OVER_ADS,
    }


def _ads_cluster(socket: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    http2 = {"@type": _TYPE + _HTTP_OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": XDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP_OPTIONS: http2},
        "load_assignment": {"cluster_name": XDS_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _local_cluster(name: str) -> Iterator[dict[str, Any]]:
    if name:
        members = {"eds_config": _OVER_ADS}
        yield {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": members}


def _connection_limit(connections: int) -> dict[str, Any]:
    config = {
        "@type": _TYPE
        + "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": connections,
    }
    monitor = {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": config}
    return {"resource_monitors": [monitor]}
