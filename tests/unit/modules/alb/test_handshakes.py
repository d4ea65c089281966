"""What the counts of TLS tell of a pool."""

import re

import pytest

from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.modules.alb.handshakes import WANTED, Handshakes, handshakes, troubles


def test_handshakes_are_read_by_pool() -> None:
    values = {"cluster.pool.a.b.ssl.handshake": 3, "cluster.pool.a.b.ssl.fail_verify_san": 2, "cluster.other.ssl.handshake": 9}  # fmt: skip
    assert handshakes(EnvoyStats(values)) == {"a.b": Handshakes(completed=3, misnamed=2)}
    assert [name for name in values if re.fullmatch(WANTED, name)] == list(values)[:2]


@pytest.mark.parametrize(
    ("before", "now", "known", "words"),
    [
        (Handshakes(), Handshakes(completed=5), "old", ""),
        (Handshakes(), Handshakes(unsigned=1), "", "not signed"),
        (Handshakes(), Handshakes(misnamed=1), "", "name that is verified"),
        (Handshakes(), Handshakes(broken=1), "", "refuses the handshake"),
        (Handshakes(5, 3), Handshakes(6, 4), "", "not signed"),  # one endpoint of several
        (Handshakes(5, 3), Handshakes(5, 3), "as before", "as before"),  # nobody asked meanwhile
        (Handshakes(5, 3), Handshakes(6, 3), "as before", ""),
        (Handshakes(5, 3), Handshakes(1, 0), "as before", ""),  # a new Envoy
    ],
)
def test_troubles(before: Handshakes, now: Handshakes, known: str, words: str) -> None:
    found = troubles({"a": before}, {"a": now}, {"a": known} if known else {})
    assert words in found["a"] if words else found == {}
