import json
from pathlib import Path

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from marchproxy.engines.envoy.bootstrap import XDS_CLUSTER, BootstrapSpec, render
from marchproxy.engines.envoy.central import Central, centralised, write_resources
from marchproxy.engines.envoy.xds import Resource
from marchproxy.kit.grpc import ChannelTls
from marchproxy.kit.settings import HostPort

OWN = render(BootstrapSpec("alb-1", "alb", HostPort("127.0.0.1", 9901), Path("/run/ads.sock"), fleet="fleet"))
TLS = ChannelTls(ca=Path("/ca.pem"), cert=Path("/own.pem"), key=Path("/own.key"))


def read(*servers: str, tls: ChannelTls | None = None) -> bootstrap_pb2.Bootstrap:
    # the typed messages register their types, which the parser needs to read the Any fields
    assert http_protocol_options_pb2.HttpProtocolOptions.DESCRIPTOR
    assert downstream_connections_pb2.DownstreamConnectionsConfig.DESCRIPTOR
    central = Central(
        tuple(map(HostPort.parse, servers)),
        tls,
        {"marchproxy.module": "alb"},
        Path("/s/listeners.pb"),
        Path("/s/fleet.pb"),
        ({"name": "collector"},),
    )
    return json_format.Parse(centralised(OWN, central), bootstrap_pb2.Bootstrap())


def test_routes_and_pools_come_from_elsewhere_and_what_is_the_machines_from_files():
    bootstrap = read("10.0.0.1:18000", "10.0.0.2:18000")
    xds, fleet, collector = bootstrap.static_resources.clusters
    assert (xds.name, xds.type, collector.name) == (XDS_CLUSTER, xds.STATIC, "collector")
    places = [
        one.endpoint.address.socket_address.address
        for place in xds.load_assignment.endpoints
        for one in place.lb_endpoints
    ]
    assert places == ["10.0.0.1", "10.0.0.2"]
    assert not xds.HasField("transport_socket")
    dynamic = bootstrap.dynamic_resources
    assert dynamic.cds_config.HasField("ads")
    assert dynamic.lds_config.path_config_source.path == "/s/listeners.pb"
    assert fleet.eds_cluster_config.eds_config.path_config_source.path == "/s/fleet.pb"
    assert bootstrap.node.metadata["marchproxy.module"] == "alb"
    (options,) = xds.typed_extension_protocol_options.values()
    http2 = http_protocol_options_pb2.HttpProtocolOptions.FromString(options.value).explicit_http_config
    assert http2.http2_protocol_options.connection_keepalive.interval.seconds == 20


@pytest.mark.parametrize(
    ("server", "kind", "sni", "expected"),
    [
        ("manager.example:18000", "STRICT_DNS", "manager.example", "DNS"),
        ("10.0.0.1:18000", "STATIC", "", "IP_ADDRESS"),
    ],
)
def test_a_server_is_known_by_its_certificate(server, kind, sni, expected):
    xds = read(server, tls=TLS).static_resources.clusters[0]
    assert xds.DiscoveryType.Name(xds.type) == kind
    context = tls_pb2.UpstreamTlsContext.FromString(xds.transport_socket.typed_config.value)
    assert context.sni == sni
    (name,) = context.common_tls_context.validation_context.match_typed_subject_alt_names
    assert (name.SanType.Name(name.san_type), name.matcher.exact) == (expected, server.rpartition(":")[0])
    (pair,) = context.common_tls_context.tls_certificates
    assert (pair.certificate_chain.filename, pair.private_key.filename) == ("/own.pem", "/own.key")


def test_the_same_gives_the_same_bytes():
    central = Central((HostPort("m", 1),), None, {}, Path("/l.pb"), Path("/f.pb"))
    assert centralised(OWN, central) == centralised(OWN, central)
    assert json.loads(centralised(OWN, central))["node"]["id"] == "alb-1"


def test_a_file_of_resources(tmp_path):
    file = tmp_path / "fleet.pb"
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name="fleet")
    write_resources(file, [Resource.of(assignment)])
    (found,) = discovery_pb2.DiscoveryResponse.FromString(file.read_bytes()).resources
    assert endpoint_pb2.ClusterLoadAssignment.FromString(found.value) == assignment
