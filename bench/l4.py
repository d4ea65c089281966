"""bench.l4: MarchProxy's three data planes against HAProxy, nginx and Envoy as TCP proxies, and against no proxy at all."""

import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

from rich.table import Table

from bench.support.download import download
from bench.support.netns import network
from bench.support.numbers import paired_ratio
from bench.support.paths import (
    BARE,
    DETECT,
    DIRECT,
    ENVOY,
    HAPROXY,
    KERNEL,
    NGINX,
    WORDS,
    Ground,
    Path4,
    every_path,
)
from bench.support.processes import cpu_seconds
from bench.support.report import Report, load_note
from bench.support.stage import run
from bench.support.streams import BULK
from bench.support.wrk import Run, run_wrk

_CONNECTIONS = 32
_OURS, _THEIRS = (KERNEL, ENVOY, DETECT), (DIRECT, HAPROXY, NGINX, BARE)
_COLUMNS = {
    "rps": ("requests/s", "{:,.0f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "cpu_us": ("µs/req", "{:.1f}"),
    "all_cpu_us": ("all µs/req", "{:.1f}"),
    "cps": ("conn/s", "{:,.0f}"),
    "cps_cpu_us": ("µs/conn", "{:.0f}"),
    "bulk_gbit": ("Gbit/s", "{:.1f}"),
}


@dataclass(frozen=True, slots=True)
class Slice:
    """What one path did in one round. CPU per request or connection: the proxy's, and with client and backend (`all`)."""

    keep_alive: Run
    cpu_us: float
    all_cpu_us: float
    connections: Run
    cps_cpu_us: float
    bulk_gbit: float

    def numbers(self) -> dict[str, float]:
        return {
            "rps": self.keep_alive.per_second,
            "p50_ms": self.keep_alive.p50_ms,
            "p99_ms": self.keep_alive.p99_ms,
            "cpu_us": self.cpu_us,
            "all_cpu_us": self.all_cpu_us,
            "cps": self.connections.per_second,
            "cps_cpu_us": self.cps_cpu_us,
            "bulk_gbit": self.bulk_gbit,
        }


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    if os.geteuid() != 0:
        sys.exit("bench.l4: makes network namespaces, so it must be run as root")
    rounds: dict[str, list[Slice]] = defaultdict(list)
    with network() as net, every_path(net, directory) as ground:
        for path in ground.paths:
            _slice(path, ground, seconds=0.3)
        for _ in range(4 if quick else 12):
            for path in ground.paths:
                rounds[path.name].append(_slice(path, ground, seconds=0.5 if quick else 2.0))
    figures = figures_of(rounds)
    return Report("l4", _table(figures), ratios_of(rounds), figures, load_note())


def _slice(path: Path4, ground: Ground, *, seconds: float) -> Slice:
    url = f"http://{path.host}:{path.port}/"
    started, others = cpu_seconds(path.pids), _others(ground)
    keep_alive = run_wrk(url, connections=_CONNECTIONS, seconds=seconds)
    middle, ends = cpu_seconds(path.pids), _others(ground)
    connections = run_wrk(url, connections=_CONNECTIONS, seconds=seconds, close=True)
    opened = cpu_seconds(path.pids)
    bulk = download(path.host, path.port, BULK, seconds=seconds / 2)
    used = middle - started
    return Slice(
        keep_alive,
        cpu_us=used / keep_alive.requests * 1e6,
        all_cpu_us=(used + ends - others) / keep_alive.requests * 1e6,
        connections=connections,
        cps_cpu_us=(opened - middle) / connections.requests * 1e6,
        bulk_gbit=bulk.gbit_per_second,
    )


def _others(ground: Ground) -> float:
    """CPU seconds of the backend and of the clients that have ended."""
    clients = getrusage(RUSAGE_CHILDREN)
    return cpu_seconds(ground.backend) + clients.ru_utime + clients.ru_stime


def ratios_of(rounds: Mapping[str, Sequence[Slice]]) -> dict[str, float]:
    """Ours / theirs, each the median over rounds."""
    series = {
        name: {key: [one.numbers()[key] for one in slices] for key in _COLUMNS}
        for name, slices in rounds.items()
    }
    ratios = {
        f"{ours}_{short}_vs_{theirs}": paired_ratio(series[ours][key], series[theirs][key])
        for ours in _OURS
        for short, key in (("rps", "rps"), ("cps", "cps"), ("bulk", "bulk_gbit"))
        for theirs in _THEIRS
    }
    for ours, theirs in ((ENVOY, HAPROXY), (DETECT, HAPROXY), (ENVOY, BARE)):
        ratios[f"{ours}_cpu_vs_{theirs}"] = paired_ratio(series[ours]["cpu_us"], series[theirs]["cpu_us"])
    return ratios


def figures_of(rounds: Mapping[str, Sequence[Slice]]) -> dict[str, float]:
    """The median round of everything, by path and measure."""
    return {
        f"{name}_{key}": median(one.numbers()[key] for one in slices)
        for name, slices in rounds.items()
        for key in _COLUMNS
    }


def _table(figures: Mapping[str, float]) -> Table:
    table = Table(title=f"L4 between network namespaces, {_CONNECTIONS} connections, one thread per proxy")
    table.add_column("path")
    for title, _ in _COLUMNS.values():
        table.add_column(title, justify="right")
    for name, words in WORDS.items():
        table.add_row(words, *(form.format(figures[f"{name}_{key}"]) for key, (_, form) in _COLUMNS.items()))
    return table


if __name__ == "__main__":
    run("l4", __doc__ or "", _measure, needs=("conntrack", "haproxy", "ip", "nft", "nginx", "wrk"))
