"""Central: the bootstrap of an Envoy that takes its resources from a control plane elsewhere.

What is its machine's alone comes from files, which Envoy watches: its listeners, and how many share its limits.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/overview/xds_api
"""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from marchproxy.engines.envoy.bootstrap import XDS_CLUSTER
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.kit.files import write_atomically
from marchproxy.kit.grpc.tls import ChannelTls
from marchproxy.kit.settings.types import HostPort

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
# one that went away without a word is found out after these
_ALIVE = {"interval": "20s", "timeout": "10s"}

# a server that cannot be reached is passed over for a while; when none can be, all are tried in turn
_PASSED_OVER = {
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 1,
    "max_ejection_percent": 100,
    "interval": "1s",
    "base_ejection_time": "1s",
    "max_ejection_time": "10s",
}
_NONE_LEFT = {"healthy_panic_threshold": {"value": 1}}


@dataclass(frozen=True, slots=True)
class Central:
    """Where an Envoy is served: by one of `servers` that answers, and what it says of itself there (`metadata`).

    `listeners` and `fleet` are files as `write_resources` makes them; `clusters` are its own, as Envoy's JSON.
    """

    servers: tuple[HostPort, ...]
    tls: ChannelTls | None
    metadata: Mapping[str, str]
    listeners: Path
    fleet: Path
    clusters: tuple[Mapping[str, Any], ...] = ()


def centralised(bootstrap: bytes, central: Central) -> bytes:
    """A bootstrap out of `bootstrap.render` for one that is served elsewhere. The same arguments, the same bytes."""
    document = json.loads(bootstrap)
    document["node"]["metadata"] = dict(central.metadata)
    document["dynamic_resources"]["lds_config"] = _from_file(central.listeners)
    static = document["static_resources"]["clusters"]
    for cluster in static:
        if cluster["name"] == XDS_CLUSTER:
            cluster.update(_reaching(central))
            _options_of(cluster)["http2_protocol_options"] = {"connection_keepalive": _ALIVE}
        elif "eds_cluster_config" in cluster:
            cluster["eds_cluster_config"]["eds_config"] = _from_file(central.fleet)
    static.extend(central.clusters)
    return json.dumps(document, indent=1).encode() + b"\n"


def write_resources(file: Path, resources: Sequence[Resource]) -> None:
    """Replace a file that an Envoy watches; its name must end in `.pb`. Raises OSError."""
    message = discovery_pb2.DiscoveryResponse(resources=[resource.body for resource in resources])
    write_atomically(file, message.SerializeToString(), durable=False)


def _from_file(path: Path) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _options_of(cluster: dict[str, Any]) -> dict[str, Any]:
    (options,) = cluster["typed_extension_protocol_options"].values()
    found: dict[str, Any] = options["explicit_http_config"]
    return found


def _reaching(central: Central) -> dict[str, Any]:
    by_name = not all(map(_is_address, central.servers))
    endpoints = [{"endpoint": {"address": _address(server)}} for server in central.servers]
    return {
        "type": "STRICT_DNS" if by_name else "STATIC",
        "dns_lookup_family": "ALL",
        "load_assignment": {"cluster_name": XDS_CLUSTER, "endpoints": [{"lb_endpoints": endpoints}]},
        **({} if central.tls is None else {"transport_socket": _tls(central.tls, central.servers)}),
        "outlier_detection": _PASSED_OVER,
        "common_lb_config": _NONE_LEFT,
    }


def _tls(tls: ChannelTls, servers: Sequence[HostPort]) -> dict[str, Any]:
    names = [server.host for server in servers if not _is_address(server)]
    common: dict[str, Any] = {
        "alpn_protocols": ["h2"],
        "validation_context": {
            "trusted_ca": {"filename": str(tls.ca)},
            "match_typed_subject_alt_names": [_expected(server) for server in servers],
        },
    }
    if tls.cert is not None and tls.key is not None:
        pair = {"certificate_chain": {"filename": str(tls.cert)}, "private_key": {"filename": str(tls.key)}}
        common["tls_certificates"] = [pair]
    sni = {"sni": names[0]} if names else {}
    context = {"@type": _TLS, "common_tls_context": common, **sni}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _expected(server: HostPort) -> dict[str, Any]:
    kind = "IP_ADDRESS" if _is_address(server) else "DNS"
    return {"san_type": kind, "matcher": {"exact": server.host}}


def _address(server: HostPort) -> dict[str, Any]:
    return {"socket_address": {"address": server.host, "port_value": server.port}}


def _is_address(server: HostPort) -> bool:
    try:
        ipaddress.ip_address(server.host)
    except ValueError:
        return False
    return True
