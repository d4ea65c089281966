"""The ways from a relay to pools."""

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.module import PoolName
from marchproxy.model.pool import Endpoint
from marchproxy.modules.ailb.relay.plan import Patience, Ways, compile_ways

DOCUMENT = """
routes:
  - id: llm
    path: /
    idle_timeout: 5s
    ai:
      first_byte_timeout: 100s
      default_output: 77
      models:
        - {name: a, targets: [plain]}
        - {name: b, targets: [keyed]}
        - {name: c, targets: [tls]}
        - {name: d, targets: [named]}
        - {name: e, targets: [six]}
pools:
  - {name: plain, endpoints: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], ai: {provider: vllm}}
  - {name: keyed, endpoints: ["127.0.0.1:1"], ai: {provider: vllm, credential: /key, base_path: /}}
  - {name: tls, endpoints: ["127.0.0.1:1"], tls: {}, ai: {provider: anthropic, base_path: /api/v3}}
  - {name: named, endpoints: ["localhost:1"], ai: {provider: ollama}}
  - {name: six, endpoints: ["[::1]:1"], ai: {provider: ollama}}
"""


def ways(places=None, keys=None):
    return compile_ways(decode(DOCUMENT.encode()), places or {}, keys or {})


def test_what_needs_an_envoy_goes_by_the_egress():
    found = {name: (way.base, way.places) for name, way in ways().pools.items()}
    assert found == {
        "plain": ("/v1", ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")),
        "keyed": ("", ()),
        "tls": ("/api/v3", ()),
        "named": ("/v1", ()),
        "six": ("/v1", ("[::1]:1",)),
    }


def test_a_key_that_is_known_is_shown_without_an_envoy_and_in_no_text():
    keys = {"credential.authorization./key": "Bearer sk-1", "credential.x-api-key./key": "another"}
    keyed = ways(keys=keys).pools["keyed"]
    assert (keyed.places, keyed.shown) == (("127.0.0.1:1",), (b"authorization", b"Bearer sk-1"))
    assert "sk-1" not in repr(keyed)
    assert [way.shown for name, way in ways(keys=keys).pools.items() if name != "keyed"] == [None] * 4


def test_endpoints_that_are_found_take_the_place_of_those_that_are_listed():
    found = ways({PoolName("named"): (Endpoint("10.0.0.1:1"),), PoolName("plain"): ()})
    assert (found.pools["named"].places, found.pools["named"].name) == (("10.0.0.1:1",), "localhost")
    assert {way.name for name, way in found.pools.items() if name != "named"} == {""}
    assert found.pools["plain"].places == ()


def test_a_relay_gives_up_before_envoy_does():
    assert ways().patience("llm") == Patience(99.0, 4.5, 77)
    assert Ways().patience("gone") == Patience()


def test_a_relay_looks_often_enough_to_be_in_time():
    assert ways().rhythm == pytest.approx(4.5 / 20)
    assert Ways().rhythm == 0.5
    for idle, rhythm in (("300s", 0.5), ("0s", 0.5), ("1s", 0.9 / 20)):
        state = decode(DOCUMENT.replace("idle_timeout: 5s", f"idle_timeout: {idle}").encode())
        assert compile_ways(state, {}).rhythm == pytest.approx(rhythm)


@pytest.mark.parametrize(
    ("hosts", "attempt", "place"),
    [
        (("127.0.0.1:2", "127.0.0.1:1"), 1, "127.0.0.1:2"),
        (("127.0.0.1:2", "127.0.0.1:1"), 2, "127.0.0.1:1"),
        (("10.0.0.1:1", "127.0.0.1:3"), 1, "127.0.0.1:3"),
        (("127.0.0.1:3", "10.0.0.1:1"), 2, "127.0.0.1:3"),
        ((), 2, "127.0.0.1:2"),
        (("10.0.0.1:1",), 4, "127.0.0.1:1"),
    ],
)
def test_each_attempt_has_its_endpoint(hosts, attempt, place):
    assert ways().pools["plain"].place(hosts, attempt) == place
