"""Credentials that clusters show are at hand for an Envoy that judges them."""

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.engines.envoy.secrets import over_sds
from marchproxy.engines.envoy.validation.credentials import stand_in_credential
from marchproxy.engines.envoy.validation.document import render
from marchproxy.engines.envoy.validation.pieces import Piece
from marchproxy.engines.envoy.xds.kinds import ResourceType


def showing(name: str) -> cluster_pb2.Cluster:
    injector = credential_injector_pb2.CredentialInjector(overwrite=True)
    injector.credential.typed_config.CopyFrom(pack(generic_pb2.Generic(credential=over_sds(name))))
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.http_filters.add(name="credential").typed_config.CopyFrom(pack(injector))
    cluster = cluster_pb2.Cluster(name="c")
    cluster.typed_extension_protocol_options["http"].CopyFrom(pack(options))
    return cluster


def piece(kind: ResourceType, name: str, body: bytes) -> Piece:
    return Piece(kind, name, b"", body)


def test_a_credential_is_found_without_a_control_plane() -> None:
    cluster = piece(ResourceType.CLUSTER, "c", showing("key").SerializeToString())
    bootstrap = bootstrap_pb2.Bootstrap.FromString(render([cluster]))
    assert list(bootstrap.static_resources.secrets) == [stand_in_credential("key")]
    packed = bootstrap.static_resources.clusters[0].typed_extension_protocol_options["http"]
    options = http_protocol_options_pb2.HttpProtocolOptions.FromString(packed.value)
    injector = credential_injector_pb2.CredentialInjector.FromString(
        options.http_filters[0].typed_config.value
    )
    assert injector.overwrite
    generic = generic_pb2.Generic.FromString(injector.credential.typed_config.value)
    assert generic.credential.name == "key"
    assert not generic.credential.HasField("sds_config")


def test_one_that_is_judged_itself_is_there_once() -> None:
    secret = stand_in_credential("key")
    pieces = [
        piece(ResourceType.CLUSTER, "c", showing("key").SerializeToString()),
        piece(ResourceType.SECRET, "key", secret.SerializeToString()),
    ]
    assert list(bootstrap_pb2.Bootstrap.FromString(render(pieces)).static_resources.secrets) == [secret]
