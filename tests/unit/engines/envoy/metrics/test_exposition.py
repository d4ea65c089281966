"""Text that Prometheus reads: parsed by its own parser."""

from prometheus_client.parser import text_string_to_metric_families

from marchproxy.engines.envoy.metrics.buckets import BOUNDS, distribution
from marchproxy.engines.envoy.metrics.exposition import render
from marchproxy.engines.envoy.metrics.family import counter, gauge, histogram
from marchproxy.engines.envoy.metrics.tally import Series

ASKED, OPEN, TOOK = counter("asked", "Asked."), gauge("open", "Open."), histogram("took_seconds", "Took.")
SPREAD = distribution([{"lower_bound": 3.0, "width": 0.1, "count": 2}, {"lower_bound": 20000.0, "width": 1000.0, "count": 1}])  # fmt: skip
FAMILIES = [
    (ASKED, [Series(ASKED, (("route", 'a"b\\c\n'), ("class", "2xx")), value=3)]),
    (OPEN, [Series(OPEN, (), value=7)]),
    (gauge("none", "None."), []),
    (TOOK, [Series(TOOK, labels, distribution=SPREAD) for labels in ((), (("route", "a"),))]),
]


def test_what_prometheus_reads() -> None:
    families = {family.name: family for family in text_string_to_metric_families(render(FAMILIES).decode())}
    assert {family.type for family in families.values()} == {"counter", "gauge", "histogram"}
    (asked,) = families["marchproxy_envoy_asked"].samples
    assert (asked.labels, asked.value) == ({"route": 'a"b\\c\n', "class": "2xx"}, 3)
    took = families["marchproxy_envoy_took_seconds"].samples
    for labels in ({}, {"route": "a"}):
        buckets = {
            s.labels["le"]: s.value for s in took if s.labels.items() >= labels.items() and "le" in s.labels
        }
        assert list(buckets) == [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        assert (buckets["0.001"], buckets["0.005"], buckets["10"], buckets["+Inf"]) == (0, 2, 2, 3)
        rest = {s.name.rpartition("_")[2]: s.value for s in took if s.labels == labels}
        assert rest == {"sum": 20.5061, "count": 3}


def test_without_gauges() -> None:
    text = render(FAMILIES, gauges=False)
    assert b"_open" not in text
    assert b"_asked_total" in text
    assert render([]) == b""
