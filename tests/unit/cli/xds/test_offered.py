from dataclasses import replace

import pytest

from marchproxy.cli.xds.offered import obstacle, routes_by_host, routes_of, servable, unserved
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BackendPool, Discovery, UpstreamTls
from marchproxy.model.route import Route, RouteMatch
from marchproxy.model.state import DesiredState

WEB = Listener("web", "0.0.0.0", 80)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"protocol": Protocol.GRPC}, None),
        (
            {"version_weights": (("v1", 100),)},
            None,
        ),  # between instances of modules, which there are none of here
        ({"module_type": ModuleType.AILB}, "ailb"),
        ({"protocol": Protocol.TCP}, "tcp"),
        ({"protocol": Protocol.HTTP3}, "http3"),
        ({"tls": TlsTermination("/c", "/k")}, "`tls`"),
        ({"server_names": ("a.example",)}, "`server_names`"),
        ({"alpn": ("h2",)}, "`alpn`"),
        ({"allow": ("10.0.0.0/8",), "deny": ("10.1.0.0/16",)}, "`allow`, `deny`"),
        ({"max_connections": 1}, "`max_connections`"),
        ({"max_connections_per_source": 1}, "`max_connections_per_source`"),
        ({"proxy_protocol": True}, "`proxy_protocol`"),
        ({"idle_timeout": 1.0}, "`idle_timeout`"),
    ],
)
def test_a_listener_is_offered_whole_or_not_at_all(change, words):
    listener = replace(WEB, **change)
    reason = obstacle(listener, [listener])
    assert (reason is None) if words is None else (words in reason)


def test_listeners_at_one_address_are_left_out_together():
    others = (replace(WEB, name="other"), replace(WEB, name="alone", port=81))
    assert [listener.name for listener in servable((WEB, *others))] == ["alone"]


def test_routes_belong_to_the_listeners_they_name_or_to_all():
    free, bound, foreign = (
        Route("free"),
        Route("bound", listeners=("web",)),
        Route("foreign", listeners=("other",)),
    )
    assert routes_of(WEB, [free, bound, foreign]) == [free, bound]


def test_each_full_host_gets_every_route_that_may_take_its_requests():
    any_host = Route("any")
    shop = Route("shop", match=RouteMatch(hosts=("Shop.eu.example",)))
    wide = Route("wide", match=RouteMatch(hosts=("*.example",)))
    far = Route("far", match=RouteMatch(hosts=("*.test", "far.test")))
    assert routes_by_host([any_host, shop, wide, far]) == {
        "shop.eu.example": [shop, wide, any_host],
        "far.test": [far, far, any_host],
    }


@pytest.mark.parametrize(
    ("state", "path"),
    [
        (DesiredState(routes=(Route("r", authentication=("staff",)),)), "routes[0].authentication"),
        (DesiredState(pools=(BackendPool("p", tls=UpstreamTls()),)), None),
        (
            DesiredState(pools=(BackendPool("p", tls=UpstreamTls(certificate="/c", key="/k")),)),
            "pools[0].tls.key",
        ),
        (DesiredState(pools=(BackendPool("p", discovery=Discovery(srv="_x._tcp.a")),)), None),
        (DesiredState(pools=(BackendPool("p", discovery=Discovery(file="/f")),)), None),
        (DesiredState(pools=(BackendPool("p", discovery=Discovery(dns="a:1")),)), None),
    ],
)
def test_what_only_an_alb_can_read_is_refused(state, path):
    assert [problem.path for problem in unserved(state)] == ([] if path is None else [path])


def test_keys_are_offered_only_where_nodes_show_who_they_are():
    listener = replace(WEB, tls=TlsTermination("/c", "/k"))
    pool = BackendPool("p", tls=UpstreamTls(certificate="/c", key="/k"))
    assert "xds.tls.client_ca" in (obstacle(listener, [listener]) or "")
    assert obstacle(listener, [listener], keys=True) is None
    assert list(servable([listener], keys=True)) == [listener]
    assert list(unserved(DesiredState(pools=(pool,)), keys=True)) == []
    other = replace(WEB, tls=TlsTermination("/c", "/k", alpn=("h2",)))
    assert "`tls.alpn`" in (obstacle(other, [other], keys=True) or "")
