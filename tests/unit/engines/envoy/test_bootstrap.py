from dataclasses import replace
from pathlib import Path

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import json_format

from marchproxy.engines.envoy.bootstrap import XDS_CLUSTER, BootstrapSpec, render
from marchproxy.kit.settings.types import HostPort

GOLDEN = Path(__file__).parent / "golden"
SPEC = BootstrapSpec(
    node_id="alb-1",
    cluster="alb",
    admin=HostPort("127.0.0.1", 9901),
    ads_socket=Path("/run/marchproxy/alb/ads.sock"),
)


def test_golden():
    assert render(SPEC) == (GOLDEN / "bootstrap.json").read_bytes()


def test_every_field_is_one_envoy_knows():
    # the typed messages below register their types, which the parser needs to read the Any fields
    assert http_protocol_options_pb2.HttpProtocolOptions.DESCRIPTOR
    assert downstream_connections_pb2.DownstreamConnectionsConfig.DESCRIPTOR
    bootstrap = json_format.Parse(render(SPEC), bootstrap_pb2.Bootstrap())
    assert bootstrap.node.id == "alb-1"
    (ads,) = bootstrap.static_resources.clusters
    assert ads.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe.path == str(SPEC.ads_socket)
    (service,) = bootstrap.dynamic_resources.ads_config.grpc_services
    assert service.envoy_grpc.cluster_name == ads.name == XDS_CLUSTER
    assert bootstrap.dynamic_resources.lds_config.initial_fetch_timeout.ToMilliseconds() == 0
    assert bootstrap.dynamic_resources.lds_config.HasField("initial_fetch_timeout")


def test_a_runtime_layer_is_taken_over_ads_and_gives_way_to_what_a_person_sets():
    assert downstream_connections_pb2.DownstreamConnectionsConfig.DESCRIPTOR
    bootstrap = json_format.Parse(render(replace(SPEC, runtime="limits")), bootstrap_pb2.Bootstrap())
    layers = bootstrap.layered_runtime.layers
    assert [layer.name for layer in layers] == ["static", "limits", "admin"]  # the last one wins
    assert layers[1].rtds_layer.name == "limits"
    assert layers[1].rtds_layer.rtds_config.HasField("ads")
    assert layers[1].rtds_layer.rtds_config.initial_fetch_timeout.ToMilliseconds() == 0


def test_a_socket_path_longer_than_the_kernel_takes_is_refused():
    long = Path("/run") / ("x" * 104)
    with pytest.raises(ValueError, match="107 bytes"):
        render(BootstrapSpec(node_id="n", cluster="c", admin=SPEC.admin, ads_socket=long))


def test_the_local_cluster_has_its_members_over_ads():
    assert http_protocol_options_pb2.HttpProtocolOptions.DESCRIPTOR
    bootstrap = json_format.Parse(render(replace(SPEC, fleet="fleet")), bootstrap_pb2.Bootstrap())
    assert bootstrap.cluster_manager.local_cluster_name == "fleet"
    _, fleet = bootstrap.static_resources.clusters
    assert fleet.name == "fleet"
    assert fleet.eds_cluster_config.eds_config.HasField("ads")
    assert not json_format.Parse(render(SPEC), bootstrap_pb2.Bootstrap()).HasField("cluster_manager")
