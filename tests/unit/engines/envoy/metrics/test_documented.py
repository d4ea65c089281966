"""docs/metrics.md names every family with its kind and what is said of it."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric

from marchproxy.engines.envoy.metrics.family import PREFIX, Family
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings
from marchproxy.engines.envoy.vitals import Vitals
from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.http.metrics import TABLE as ALB
from marchproxy.nlb.dataplane.envoy.metrics import TABLE as NLB

WHOLE = (Path(__file__).parents[5] / "docs" / "metrics.md").read_text()
DOCUMENT = WHOLE.partition("\n## Of a DBLB\n")[0]
ROWS = {
    row[1]: row for row in re.finditer(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+) \|$", DOCUMENT, re.MULTILINE)
}
FAMILIES = {cell.family for source in (*ALB, *NLB) for cell in source.cells.values()}


@pytest.mark.parametrize(
    "family", sorted(FAMILIES, key=lambda family: family.name), ids=lambda family: family.name
)
def test_a_family_is_documented(family: Family) -> None:
    row = ROWS[family.name]
    assert (row[2], row[4]) == (family.kind.value, family.text)


def test_nothing_else_is() -> None:
    of_the_process = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in vitals()
    }
    others = {name.removeprefix(PREFIX) for name in of_the_process} | {"up", "scrape_seconds"}
    assert ROWS.keys() - {family.name for family in FAMILIES} == others


def vitals() -> Iterable[Metric]:
    process = EnvoyProcess(
        EnvoySettings(node_id="a", cluster="b", admin=HostPort("127.0.0.1", 1), run_dir=Path("/nowhere")),
        bootstrap=b"{}",
        clock=VirtualClock(),
    )
    return Vitals(process).collect()


def test_labels_and_their_values_are_documented() -> None:
    for source in (*ALB, *NLB):
        for cell in source.cells.values():
            written = ROWS[cell.family.name][3]
            assert not source.label or f"`{source.label}`" in written
            assert all(f"`{name}`" in written for name, _ in cell.labels)
            assert all(value in written for name, value in cell.labels if name != "class")
