import pytest

from marchproxy.cli.file import FileDocument, pick_module, replica_of
from marchproxy.kit.settings import HostPort, SettingsError
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.dblb.settings import DblbSettings

DATABASES = DblbSettings(id="d", type="dblb", postgres="127.0.0.1:6432", redis_proxy="127.0.0.1:6378")
ONE = FileDocument(modules=(AlbSettings(id="a"),))
HTTPS = {"tls_traffic": "127.0.0.1:443", "https": {"self_signed": ["a.example"]}}
SECURE = FileDocument(modules=(AlbSettings.model_validate({"id": "a", **HTTPS}),))
TWO = FileDocument(modules=(AlbSettings(id="a"), AlbSettings(id="b")))


@pytest.mark.parametrize(
    ("document", "wanted", "environ", "picked"),
    [
        (ONE, None, {}, "a"),
        (TWO, "b", {}, "b"),
        (TWO, "b", {"MODULE_ID": "a"}, "b"),  # what is typed wins
        (TWO, None, {"MODULE_ID": "b"}, "b"),
        (ONE, None, {"MODULE_ID": "pod-7"}, "pod-7"),  # containers that share a file
    ],
)
def test_picks(document, wanted, environ, picked):
    assert pick_module(document, AlbSettings, wanted, environ).id == picked


@pytest.mark.parametrize(
    ("document", "wanted", "environ", "words"),
    [
        (FileDocument(), None, {}, "no module of type alb"),
        (FileDocument(modules=(DATABASES,)), None, {}, "no module of type alb"),
        (TWO, None, {}, "say which one with --id: a, b"),
        (TWO, None, {"MODULE_ID": "c"}, 'no module "c"'),
        (ONE, "c", {}, 'no module "c"; known: a'),
        (ONE, None, {"MODULE_ID": "not an id"}, "MODULE_ID"),
        (ONE, None, {"XDS_SERVER": "nowhere"}, "XDS_SERVER"),
        (SECURE, None, {"XDS_SERVER": "manager:18000"}, "leave out tls_traffic"),
        (ONE, None, {"NLB_ENDPOINTS": "nowhere"}, "NLB_ENDPOINTS"),
    ],
)
def test_refuses(document, wanted, environ, words):
    with pytest.raises(SettingsError) as caught:
        pick_module(document, AlbSettings, wanted, environ)
    assert words in str(caught.value)


def test_nlb_endpoints_replace_the_files():
    module = pick_module(ONE, AlbSettings, None, {"NLB_ENDPOINTS": "nlb-1:50050, [::1]:7"})
    assert module.nlbs == (HostPort("nlb-1", 50050), HostPort("::1", 7))


def test_xds_server_is_that_of_an_alb():
    module = pick_module(ONE, AlbSettings, None, {"XDS_SERVER": "manager-1:18000,manager-2:18000"})
    assert module.xds_server == (HostPort("manager-1", 18000), HostPort("manager-2", 18000))
    assert replica_of(module, 1).xds_server == module.xds_server


def test_a_replica_differs_in_id_and_ports_only():
    first = AlbSettings(id="a", grpc=HostPort("10.0.0.1", 50051), proxy_traffic=None, drain_seconds=7)
    replica = replica_of(first, 3)
    assert replica.id == "a.3"
    assert replica.grpc == HostPort("10.0.0.1", 0)
    assert {replica.health.port, replica.metrics.port, replica.envoy.admin.port} == {0}
    assert replica.traffic is not None
    assert replica.traffic.port == 0
    assert replica.proxy_traffic is None
    assert replica.drain_seconds == 7


def test_modules_of_two_kinds_stand_in_one_file():
    document = FileDocument(modules=(AlbSettings(id="a"), DATABASES))
    assert pick_module(document, DblbSettings, None, {}) is DATABASES
    assert pick_module(document, AlbSettings, None, {"XDS_SERVER": ""}).id == "a"
    assert pick_module(document, DblbSettings, "d", {"XDS_SERVER": "manager:18000"}).id == "d"


def test_a_replica_of_databases_has_the_same_ports_open():
    replica = replica_of(DATABASES, 2)
    assert (replica.id, replica.postgres, replica.redis_proxy) == (
        "d.2",
        HostPort("127.0.0.1", 0),
        HostPort("127.0.0.1", 0),
    )
    assert replica.mysql is None
