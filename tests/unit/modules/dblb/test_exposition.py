"""What Prometheus reads: whole, parsable, bounded, and counters that only grow."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.exposition import Exposition
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import BOUNDS, PoolGauge, Tally, TallyKey

DOCUMENT = (
    (Path(__file__).parents[4] / "docs" / "metrics.md")
    .read_text()
    .partition("\n## Of a DBLB\n")[2]
    .partition("\n## ")[0]
)


def tally(queries: int = 1) -> Tally:
    found = Tally()
    found.clients, found.queries, found.transactions = 2, queries, 1
    for _ in range(queries):
        found.query_seconds.add(0.002)
    found.pins["listen"] = 3
    return found


def key(user: str = "ann", **more: str) -> TallyKey:
    parts = {"protocol": "postgres", "route": "shop", "pool": "blue", "database": "shop", **more}
    return TallyKey(user=user, **parts)


def read(text: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples by name, and by the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_all_that_is_told():
    gauge = PoolGauge("blue", "a:1", "primary", "shop", "ann", 5, 3, 1, 10)
    reports = [
        ServerReport("blue", "a:1", "primary", 0.001),
        ServerReport("blue", "b:1", "replica", 0.002, 0.5),
        ServerReport("blue", "c:1", "unknown", fault="is down"),
    ]
    counted = Counted({key(): tally(4), key("bob"): tally(2)}, (gauge, gauge))
    found = {
        name.removeprefix("marchproxy_dblb_"): samples
        for name, samples in read(Exposition().render(counted, reports)).items()
    }
    ann = ("postgres", "shop", "blue", "shop", "ann")
    assert found["queries_total"] == {ann: 4, (*ann[:-1], "bob"): 2}
    assert found["clients"][ann] == 2
    assert found["pins_total"] == {("shop", "blue", "listen"): 6}
    assert found["query_seconds_count"] == {ann[:-1]: 6}
    assert found["query_seconds_sum"][ann[:-1]] == 0.012
    buckets = found["query_seconds_bucket"]
    assert len(buckets) == len(BOUNDS) + 1
    assert (buckets[*ann[:-1], "0.001"], buckets[*ann[:-1], "0.0025"], buckets[*ann[:-1], "+Inf"]) == (
        0,
        6,
        6,
    )
    assert found["pool_connections"] == {("blue", "a:1", "shop", "ann"): 10}
    assert found["pool_size"] == {("blue", "a:1", "shop", "ann"): 20}
    assert found["server_up"] == {("blue", "a:1"): 1, ("blue", "b:1"): 1, ("blue", "c:1"): 0}
    assert found["server_role"] == {
        ("blue", "a:1", "primary"): 1,
        ("blue", "b:1", "replica"): 1,
        ("blue", "c:1", "unknown"): 1,
    }
    assert found["server_lag_seconds"] == {("blue", "b:1"): 0.5}
    assert found.keys() == {
        *("clients", "transactions_total", "queries_total", "errors_total", "blocked_total", "warned_total"),
        *("unserved_total", "limited_total", "uncounted_total", "to_replicas_total", "retried_total", "pins_total"),
        *(
            f"{name}_seconds_{part}"
            for name in ("query", "wait")
            for part in ("bucket", "sum", "count")
        ),
        *(f"pool_{name}" for name in ("connections", "idle", "waiting", "size")),
        *("server_up", "server_role", "server_lag_seconds", "server_latency_seconds"),
    }  # fmt: skip


def test_every_family_is_documented_and_nothing_else_is():
    gauge = PoolGauge("blue", "a:1", "primary", "shop", "ann", 5, 3, 1, 10)
    text = (
        Exposition()
        .render(Counted({key(): tally()}, (gauge,)), [ServerReport("blue", "a:1", "replica", 0.1, 0.2)])
        .decode()
    )
    families = {
        name.removeprefix("marchproxy_dblb_"): words
        for name, words in re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE)
    }
    kinds = {
        name.removeprefix("marchproxy_dblb_"): kind
        for name, kind in re.findall(r"^# TYPE (\S+) (.+)$", text, re.MULTILINE)
    }
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .+? \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert {name: (kind, words) for name, kind, words in rows} == {
        name: (kinds[name], words) for name, words in families.items()
    }
    assert ", ".join(f"{bound:g}" for bound in BOUNDS[:-1]) in " ".join(DOCUMENT.split())


def test_nothing_is_told_of_nothing():
    assert Exposition().render(Counted(), ()) == b""


def test_names_are_escaped():
    text = Exposition().render(Counted({key('a"\n\\'): tally()}), ())
    assert ("postgres", "shop", "blue", "shop", 'a"\n\\') in read(text)["marchproxy_dblb_queries_total"]


def queries(text: bytes) -> dict[tuple[str, ...], float]:
    """One family of all; to read the others, too, takes a second."""
    lines = [line for line in text.splitlines() if b"marchproxy_dblb_queries_total" in line]
    return read(b"\n".join(lines) + b"\n")["marchproxy_dblb_queries_total"]


def test_series_are_bounded_and_counters_only_grow():
    exposition = Exposition()
    few = {key(f"u{number}"): tally() for number in range(400)}
    many = {key(f"v{number}", route=f"r{number % 7}"): tally(2) for number in range(900)}
    first = queries(exposition.render(Counted(few), ()))
    # those that come first now come later: who had a series keeps it
    second = queries(exposition.render(Counted({**many, **few}), ()))
    assert len(first) == 400
    assert len(second) == 501
    assert all(second[labels] >= value for labels, value in first.items())
    assert sum(second.values()) == 400 + 1800
    third = queries(exposition.render(Counted({**few, **many}), ()))
    assert third == second


def test_gauges_and_reasons_are_bounded():
    gauges = tuple(PoolGauge("p", "a:1", "", "d", f"u{number}", 1, 0, 0, 1) for number in range(700))
    pinning = tally()
    pinning.pins.update({f"reason {number}": 1 for number in range(50)})
    found = read(Exposition().render(Counted({key(): pinning}, gauges), ()))
    assert len(found["marchproxy_dblb_pool_connections"]) == 501
    assert sum(found["marchproxy_dblb_pool_connections"].values()) == 700
    assert len(found["marchproxy_dblb_pins_total"]) == 31
    assert sum(found["marchproxy_dblb_pins_total"].values()) == 53
