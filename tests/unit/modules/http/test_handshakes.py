"""What the counts of TLS tell of a pool."""

import re

import pytest

from marchproxy.engines.envoy.metrics import wanted
from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.modules.http.handshakes import Handshakes, TlsTrouble, handshakes, troubles
from marchproxy.modules.http.metrics import TABLE


def test_handshakes_are_read_by_pool() -> None:
    values = {"cluster.pool.a.b.ssl.handshake": 3, "cluster.pool.a.b.ssl.fail_verify_san": 2, "cluster.other.ssl.handshake": 9}  # fmt: skip
    assert handshakes(EnvoyStats(values)) == {"a.b": Handshakes(completed=3, misnamed=2)}
    assert [name for name in values if re.fullmatch(wanted(TABLE), name)] == list(values)[:2]


BEFORE = TlsTrouble("as before")


@pytest.mark.parametrize(
    ("before", "now", "known", "words"),
    [
        (Handshakes(), Handshakes(completed=5), BEFORE, ""),
        (Handshakes(), Handshakes(unsigned=1), None, "not signed"),
        (Handshakes(), Handshakes(misnamed=1), None, "name that is verified"),
        (Handshakes(), Handshakes(broken=1), None, "refuses the handshake"),
        (Handshakes(5, 3), Handshakes(6, 4), None, "not signed"),  # one endpoint of several, or just repaired
        (Handshakes(5, 3), Handshakes(5, 3), BEFORE, "as before"),  # nobody asked meanwhile
        (Handshakes(5, 3), Handshakes(5, 3), TlsTrouble("as before", lasting=False), ""),
        (Handshakes(5, 3), Handshakes(6, 3), BEFORE, ""),
        (Handshakes(5, 3), Handshakes(1, 0), BEFORE, ""),  # a new Envoy
    ],
)
def test_troubles(before: Handshakes, now: Handshakes, known: TlsTrouble | None, words: str) -> None:
    found = troubles({"a": before}, {"a": now}, {"a": known} if known else {})
    assert words in found["a"].words if words else found == {}


def test_a_trouble_lasts_where_nothing_was_completed() -> None:
    assert troubles({}, {"a": Handshakes(0, 1)}, {})["a"].lasting
    assert not troubles({}, {"a": Handshakes(1, 1)}, {})["a"].lasting
