import pytest

from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.material import downstream_tls, read_material, signatures
from marchproxy.cli.xds.settings import NodeSettings
from marchproxy.contract.document import decode
from marchproxy.engines.envoy.xds import Identity, ResourceType
from marchproxy.model.problem import InvalidValue
from tests.real.support.certificates import make_certificate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("east.test", "west.test", "ca.test"):
        make_certificate(folder, name)
    return folder


def document(folder, *, key: str = "east.test.key"):
    return decode(
        f"""
        listeners:
          - name: east
            address: 127.0.0.1:81
            tls: {{certificate: {folder}/east.test.crt, key: {folder}/{key}, client_ca: {folder}/ca.test.crt}}
          - {{name: west, address: '127.0.0.1:82', tls: {{certificate: {folder}/west.test.crt, key: {folder}/west.test.key}}}}
          - {{name: plain, address: '127.0.0.1:83'}}
        pools: [{{name: p, endpoints: ['127.0.0.1:1'], tls: {{ca: {folder}/ca.test.crt, server_name: p.test}}}}]
        routes: [{{id: r, backends: [p]}}]
        """.encode()
    )


def test_a_node_is_given_the_secrets_of_its_own_listeners_only(folder):
    state = document(folder)
    nodes = (
        NodeSettings(id="east", listeners=("east",)),
        NodeSettings(id="west", listeners=("west", "plain")),
    )
    catalogue = Catalogue(state, nodes, read_material(state), keys=True)
    held = {
        name: set(snapshot.of(ResourceType.SECRET))
        for name in ("east", "west")
        if (snapshot := catalogue.assign(Identity(name))) is not None
    }
    shared = f"authorities.{folder}/ca.test.crt"
    assert held == {
        "east": {"listener.east.certificate", "listener.east.client-ca", shared},
        "west": {"listener.west.certificate", shared},
    }


def test_without_a_reason_to_trust_nodes_there_are_no_keys(folder):
    state = document(folder)
    snapshot = Catalogue(state, (), read_material(state)).assign(Identity("any"))
    assert snapshot is not None
    assert set(snapshot.of(ResourceType.LISTENER)) == {"plain"}
    assert not any(name.startswith("listener.") for name in snapshot.of(ResourceType.SECRET))


def test_a_grpc_client_is_not_led_past_the_tls_of_a_listener(folder):
    state = document(folder)
    snapshot = Catalogue(state, (), read_material(state), keys=True).assign(
        Identity("any", user_agent="gRPC Go")
    )
    assert snapshot is not None
    assert set(snapshot.of(ResourceType.LISTENER)) <= {"plain"}


def test_files_that_cannot_be_used_are_told_with_their_places(folder):
    with pytest.raises(InvalidValue) as refused:
        read_material(document(folder, key="west.test.key"))
    assert [problem.path for problem in refused.value.problems] == ["listeners[0].tls.key"]


def test_the_files_that_were_read_are_known(folder, tmp_path):
    state = document(folder)
    files = read_material(state).files
    assert f"{folder}/east.test.key" in files
    assert len(files) == len(set(files)) == 5
    before = signatures(files)
    assert None not in before
    assert signatures((str(tmp_path / "nowhere"),)) == (None,)


def test_a_listener_without_tls_shows_nothing(folder):
    east, west, plain = document(folder).listeners
    assert downstream_tls(plain) is None
    assert [bool(tls and tls.client_ca) for tls in map(downstream_tls, (east, west))] == [True, False]
