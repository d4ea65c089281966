"""A reservation as Envoy carries it."""

import pytest

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.decision.whose import Whose, decode, encode
from marchproxy.modules.ailb.ledger.who import Who


@pytest.mark.parametrize(
    ("route", "who"),
    [("llm", Who("k", "u", "t")), ("a & b=%\r\n", Who("ß", "", "€")), ("", Who())],
)
def test_it_comes_back_as_it_was(route, who):
    value = encode(route, who, Usage(3, 40))
    assert value.isascii()
    assert value.isprintable()
    assert decode(value) == Whose(route, who, Usage(3, 40))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-",
        "a&b&c&d&1",
        "a&b&c&d&1&2&3",
        "a&b&c&d&x&2",
        "a&b&c&d&-1&2",
        "a&b&c&d&²&2",
        "a&b&c&d&1&" + "9" * 13,
    ],
)
def test_what_is_not_understood_is_nobodys(value):
    assert decode(value) is None
