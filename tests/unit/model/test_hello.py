"""Which listener a TLS hello is for."""

import pytest

from marchproxy.model.hello import claims, find_by_hello
from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol


def tls(name, *names, alpn=()):
    return Listener(name, "0.0.0.0", 443, Protocol.HTTPS, server_names=names, alpn=alpn)


SHOP = tls("shop", "shop.example", "www.shop.example")
SHOP_H2 = tls("shop-h2", "shop.example", alpn=("h2", "h3"))
BELOW = tls("below", "*.shop.example")
DEEP = tls("deep", "*.a.shop.example", alpn=("h2",))
ACME = tls("acme", alpn=("acme-tls/1",))
OTHERS = tls("others")
ALL = (BELOW, SHOP, OTHERS, SHOP_H2, DEEP, ACME)


@pytest.mark.parametrize(
    ("sni", "alpn", "found"),
    [
        ("shop.example", (), "shop"),
        ("SHOP.Example", (), "shop"),
        ("shop.example", ("http/1.1",), "shop"),
        ("shop.example", ("http/1.1", "h2"), "shop-h2"),
        ("www.shop.example", ("h2",), "shop"),  # the full name goes before the wildcard
        ("x.shop.example", ("h2",), "below"),
        ("x.y.shop.example", (), "below"),
        ("b.a.shop.example", ("h2",), "deep"),  # the longest wildcard
        ("b.a.shop.example", (), "others"),  # which wants an ALPN protocol that is not offered
        ("shop.example", ("acme-tls/1",), "shop"),  # the name decides before ALPN
        ("other.example", ("x", "acme-tls/1"), "acme"),
        ("other.example", (), "others"),
        ("", (), "others"),
        ("", ("acme-tls/1",), "acme"),
        ("shop.example.", (), "others"),
        ("..", (), "others"),
    ],
)
def test_find_by_hello(sni, alpn, found):
    listener = find_by_hello(ALL, sni, alpn)
    assert listener
    assert listener.name == found


def test_nobody_takes_what_nobody_names():
    assert find_by_hello((SHOP, DEEP), "other.example") is None
    assert find_by_hello((SHOP, DEEP), "b.a.shop.example", ("http/1.1",)) is None
    assert find_by_hello((), "a") is None


def test_claims_are_pairs_of_name_and_protocol():
    assert claims(SHOP_H2) == {("shop.example", "h2"), ("shop.example", "h3")}
    assert claims(OTHERS) == {("", "")}
    assert claims(tls("x", "A", "*.B")) == {("a", ""), ("*.b", "")}
