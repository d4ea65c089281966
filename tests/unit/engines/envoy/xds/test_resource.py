import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from marchproxy.engines.envoy.xds.resource import Resource, ResourceType
from tests.unit.engines.envoy.xds import builders
from tests.unit.engines.envoy.xds.envoy_model import CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE, SECRET


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (cluster_pb2.Cluster(name="x"), CLUSTER),
        (endpoint_pb2.ClusterLoadAssignment(cluster_name="x"), ENDPOINT),
        (listener_pb2.Listener(name="x"), LISTENER),
        (route_pb2.RouteConfiguration(name="x"), ROUTE),
        (secret_pb2.Secret(name="x"), SECRET),
        (extension_pb2.TypedExtensionConfig(name="x"), EXTENSION),
    ],
)
def test_type_and_name_come_from_the_message(message, kind):
    resource = Resource.of(message)
    assert (resource.type, resource.name) == (kind, "x")
    assert resource.body.type_url == kind.type_url
    assert message.FromString(resource.body.value) == message


def test_types_are_listed_in_delivery_order():
    assert [kind.name for kind in ResourceType] == [
        "CLUSTER",
        "ENDPOINT",
        "LISTENER",
        "ROUTE",
        "SECRET",
        "RUNTIME",
        "EXTENSION",
    ]


def test_version_is_the_content():
    assert builders.cluster("a") == builders.cluster("a")
    assert builders.cluster("a") != builders.cluster("a", connect_ms=2)
    assert len({builders.cluster("a"), builders.cluster("a")}) == 1


def test_version_does_not_depend_on_the_order_of_map_keys():
    def cluster(*keys):
        message = cluster_pb2.Cluster(name="a")
        for key in keys:
            message.metadata.filter_metadata[key].update({"k": 1})
        return Resource.of(message)

    assert cluster("x", "y", "z") == cluster("z", "y", "x")


@pytest.mark.parametrize(
    "message", [base_pb2.Node(id="x"), cluster_pb2.Cluster(), endpoint_pb2.ClusterLoadAssignment()]
)
def test_other_messages_and_nameless_ones_are_refused(message):
    with pytest.raises(ValueError, match=r"not a resource type|needs a name"):
        Resource.of(message)


def tls(context, **fields):
    holder = cluster_pb2.Cluster(name="c")
    holder.transport_socket.typed_config.Pack(context(common_tls_context=tls_pb2.CommonTlsContext(**fields)))
    return holder


def over_quic(**fields):
    context = tls_pb2.DownstreamTlsContext(common_tls_context=tls_pb2.CommonTlsContext(**fields))
    holder = listener_pb2.Listener(name="l")
    transport = quic_transport_pb2.QuicDownstreamTransport(downstream_tls_context=context)
    holder.filter_chains.add().transport_socket.typed_config.Pack(transport)
    return holder


def listener_with(config, **fields):
    message = listener_pb2.Listener(name="l", **fields)
    message.default_filter_chain.filters.add().typed_config.Pack(config)
    return message


SDS = secret_pb2.SdsSecretConfig(name="cert", sds_config=builders.ads())
ROUTED = route_pb2.RouteConfiguration(
    name="r",
    virtual_hosts=[
        {
            "name": "v",
            "domains": ["*"],
            "routes": [
                {"match": {"prefix": "/a"}, "route": {"cluster": "a"}},
                {
                    "match": {"prefix": "/w"},
                    "route": {"weighted_clusters": {"clusters": [{"name": "b"}, {"name": "c"}]}},
                },
                {"match": {"prefix": "/h"}, "route": {"cluster_header": "x-cluster"}},
                {"match": {"prefix": "/r"}, "redirect": {"path_redirect": "/a"}},
                {
                    "match": {"prefix": "/m"},
                    "route": {"cluster": "a", "request_mirror_policies": [{"cluster": "shadow"}]},
                },
            ],
        }
    ],
)


FOUND = {"name": "found", "config_discovery": {"config_source": builders.ads()}}
FROM_A_FILE = {
    "name": "file",
    "config_discovery": {"config_source": {"path_config_source": {"path": "/x"}}},
}
FAR = {"remote_jwks": {"http_uri": {"uri": "https://id.example/keys", "cluster": "keys"}}}


def showing(source):
    """A cluster whose requests are given a credential."""
    injector = credential_injector_pb2.CredentialInjector()
    injector.credential.typed_config.Pack(generic_pb2.Generic(credential=source))
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.http_filters.add(name="other").typed_config.Pack(tcp_proxy_pb2.TcpProxy())
    options.http_filters.add(name="credential").typed_config.Pack(injector)
    cluster = cluster_pb2.Cluster(name="c", type="STATIC")
    cluster.typed_extension_protocol_options["http"].Pack(options)
    return cluster


def filter_with(config):
    message = extension_pb2.TypedExtensionConfig(name="f")
    message.typed_config.Pack(config)
    return message


@pytest.mark.parametrize(
    ("message", "references"),
    [
        (cluster_pb2.Cluster(name="c", type="STATIC"), {}),
        (
            cluster_pb2.Cluster(name="c", type="EDS", eds_cluster_config={"eds_config": builders.ads()}),
            {ENDPOINT: {"c"}},
        ),
        (
            cluster_pb2.Cluster(
                name="c", type="EDS", eds_cluster_config={"eds_config": builders.ads(), "service_name": "s"}
            ),
            {ENDPOINT: {"s"}},
        ),
        (
            cluster_pb2.Cluster(
                name="c",
                type="EDS",
                eds_cluster_config={"eds_config": {"path_config_source": {"path": "/eds"}}},
            ),
            {},
        ),
        (tls(tls_pb2.UpstreamTlsContext, tls_certificate_sds_secret_configs=[SDS]), {SECRET: {"cert"}}),
        (over_quic(tls_certificate_sds_secret_configs=[SDS]), {SECRET: {"cert"}}),
        (tls(tls_pb2.DownstreamTlsContext, validation_context_sds_secret_config=SDS), {SECRET: {"cert"}}),
        (
            tls(
                tls_pb2.UpstreamTlsContext,
                combined_validation_context={
                    "validation_context_sds_secret_config": SDS,
                    "default_validation_context": {},
                },
            ),
            {SECRET: {"cert"}},
        ),
        (showing(SDS), {SECRET: {"cert"}}),
        (showing(secret_pb2.SdsSecretConfig(name="static")), {}),
        (ROUTED, {CLUSTER: {"a", "b", "c", "shadow"}}),
        (listener_with(tcp_proxy_pb2.TcpProxy(cluster="db")), {CLUSTER: {"db"}}),
        (
            listener_with(
                tcp_proxy_pb2.TcpProxy(weighted_clusters={"clusters": [{"name": "v1"}, {"name": "v2"}]})
            ),
            {CLUSTER: {"v1", "v2"}},
        ),
        (
            listener_with(
                hcm_pb2.HttpConnectionManager(rds={"route_config_name": "r", "config_source": builders.ads()})
            ),
            {ROUTE: {"r"}},
        ),
        (
            listener_with(hcm_pb2.HttpConnectionManager(route_config=ROUTED)),
            {CLUSTER: {"a", "b", "c", "shadow"}},
        ),
        (endpoint_pb2.ClusterLoadAssignment(cluster_name="c"), {}),
        (
            listener_with(hcm_pb2.HttpConnectionManager(http_filters=[FOUND, FROM_A_FILE])),
            {EXTENSION: {"found"}},
        ),
        (filter_with(jwt_pb2.JwtAuthentication(providers={"far": FAR, "near": {}})), {CLUSTER: {"keys"}}),
        (filter_with(hcm_pb2.HttpConnectionManager()), {}),
    ],
)
def test_references(message, references):
    assert Resource.of(message).references == references


def test_api_listener_references_its_routes():
    message = listener_pb2.Listener(name="xds-client")
    manager = hcm_pb2.HttpConnectionManager(rds={"route_config_name": "r", "config_source": builders.ads()})
    message.api_listener.api_listener.Pack(manager)
    assert Resource.of(message).references == {ROUTE: {"r"}}
