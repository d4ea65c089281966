"""How many series there can be, whatever Envoy names: what docs/metrics.md promises."""

import pytest

from marchproxy.engines.envoy.metrics import MOST, Tally
from marchproxy.engines.envoy.metrics.buckets import distribution
from marchproxy.engines.envoy.metrics.exposition import render
from marchproxy.engines.envoy.metrics.family import Kind
from marchproxy.engines.envoy.metrics.source import Source
from marchproxy.modules.http.metrics import TABLE
from marchproxy.modules.http.resources.route_stats import COMPLETED, TIME

SAMPLE = distribution([{"lower_bound": 3.0, "width": 0.1, "count": 1}])


def names(source: Source, things: int) -> dict[str, Kind]:
    """Every statistic of so many routes or pools."""
    found = {}
    for thing in range(things):
        for stat, cell in source.cells.items():
            if stat not in {COMPLETED, TIME}:
                found[f"cluster.pool.r{thing}.{stat}"] = cell.family.kind
            elif cell.family.kind is Kind.HISTOGRAM:
                found[f"routes.{stat}.of.1/pool.r{thing}/r{thing}"] = cell.family.kind
            else:
                found |= {
                    f"routes.{stat}.of.{code}07/1/pool.r{thing}/r{thing}": cell.family.kind
                    for code in range(1, 6)
                }
    return found


@pytest.mark.parametrize(("label", "most"), [("route", 20), ("pool", 47)])
def test_no_more_series_than_promised(label: str, most: int) -> None:
    sources = [source for source in TABLE if source.label == label]
    kinds = {name: kind for source in sources for name, kind in names(source, MOST + 100).items()}
    tally = Tally(sources)
    histograms = {name: SAMPLE for name, kind in kinds.items() if kind is Kind.HISTOGRAM}
    tally.add(dict.fromkeys(kinds.keys() - histograms.keys(), 1), 1, histograms)
    lines = [line for line in render(tally.families()).splitlines() if not line.startswith(b"#")]
    assert len(lines) == most * (MOST + 1)
