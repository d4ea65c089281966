"""bench.http: the ALB at 1, 100 and 5,000 routes against Envoy, HAProxy and nginx, and what its control plane takes."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop
from rich.console import Group
from rich.table import Table

from bench.http import changes, fleet, rounds
from bench.http.paths import SIZES, every_path
from bench.support.numbers import percentile
from bench.support.ports import free_ports
from bench.support.report import Report, load_note
from bench.support.routing import RoutingTable
from bench.support.stage import run


@dataclass(frozen=True, slots=True)
class _Aim:
    """A figure of the control plane, what it is in words, and its aim if it has one."""

    words: str
    unit: str
    below: float | None = None


_ROUTES, _NODES = f"{SIZES[-1]:,} routes", f"{fleet.NODES} nodes"
_CONTROL = {
    "change_to_effect_p99_ms": _Aim(f"a route changes: until traffic shows it, p99, {_ROUTES}", "ms", 100),
    "change_to_effect_p50_ms": _Aim("… p50", "ms"),
    "change_to_answer_p99_ms": _Aim("… until the call returns, p99", "ms"),
    "change_to_answer_p50_ms": _Aim("… p50", "ms"),
    "nack_to_error_ms": _Aim("a route that Envoy refuses: until its author knows, worst", "ms", 1000),
    "full_sync_s": _Aim(f"{_NODES} connect: until all hold {_ROUTES}", "s", 2),
    "full_sync_cpu_s": _Aim("… CPU of the control plane", "s"),
    "change_sync_s": _Aim(f"the file changes every route: until all {_NODES} hold that", "s"),
    "change_sync_cpu_s": _Aim("… CPU of the control plane", "s"),
    "control_rss_mb": _Aim(f"its memory with {_ROUTES} and {_NODES}", "MiB", 300),
    "control_peak_mb": _Aim("… at its highest", "MiB"),
    "sync_mb_per_node": _Aim("what each node is given at first", "MiB"),
}


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    started = time.monotonic()

    def until(seconds: float) -> float:
        """When a part has to end for all to fit into a minute on a slow machine."""
        return started + seconds if quick else math.inf

    largest = RoutingTable.of(SIZES[-1])
    (port,) = free_ports(1)
    with every_path(directory) as ground:
        found = rounds.measure(
            ground.paths, rounds=3 if quick else 9, seconds=0.5 if quick else 3, until=until(32)
        )
        changed = uvloop.run(
            changes.measure(
                ground.largest,
                largest,
                changes=20 if quick else 200,
                refusals=3 if quick else 10,
                until=until(40),
            )
        )
    with fleet.control_plane(largest, port, directory) as xds:
        synced = fleet.measure(xds, largest, port, directory)
    ratios, figures = rounds.ratios_of(found), rounds.figures_of(found)
    control = {**figures_of_changes(changed), **figures_of_fleet(synced)}
    tables = Group(rounds.table_of(found, figures, ratios), _table(control))
    return Report("http", tables, ratios, {**figures, **control}, load_note())


def figures_of_changes(changed: changes.Changes) -> dict[str, float]:
    """The figures of one change after the other; of few, p99 is the worst."""
    return {
        "change_to_effect_p99_ms": percentile(changed.to_effect, 99),
        "change_to_effect_p50_ms": median(changed.to_effect),
        "change_to_answer_p99_ms": percentile(changed.to_answer, 99),
        "change_to_answer_p50_ms": median(changed.to_answer),
        "nack_to_error_ms": max(changed.to_error),
    }


def figures_of_fleet(synced: fleet.Fleet) -> dict[str, float]:
    """The figures of the control plane by itself."""
    return {
        "full_sync_s": synced.full_sync_s,
        "full_sync_cpu_s": synced.full_cpu_s,
        "change_sync_s": synced.change_sync_s,
        "change_sync_cpu_s": synced.change_cpu_s,
        "control_rss_mb": synced.rss_mb,
        "control_peak_mb": synced.peak_mb,
        "sync_mb_per_node": synced.received_mb,
    }


def _table(figures: Mapping[str, float]) -> Table:
    table = Table(title="Control plane")
    table.add_column("figure")
    for name in ("measured", "aim"):
        table.add_column(name, justify="right")
    table.add_column("")
    for key, aim in _CONTROL.items():
        value, limit, verdict = figures[key], "", ""
        if aim.below is not None:
            limit = f"< {aim.below:,g} {aim.unit}"
            verdict = "[green]met[/]" if value < aim.below else "[red]missed[/]"
        table.add_row(aim.words, f"{value:,.2f} {aim.unit}", limit, verdict)
    return table


if __name__ == "__main__":
    run("http", __doc__ or "", _measure, needs=("haproxy", "nginx", "wrk"))
