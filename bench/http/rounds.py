"""Rounds: every path in turn, again and again; what they come to as ratios, figures and tables."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from bench.http.paths import ALB, ENVOY, HAPROXY, NGINX, OURS, SIZES, WORDS, HttpPath, Key
from bench.support.numbers import paired_ratio
from bench.support.processes import cpu_seconds
from bench.support.wrk import Run, run_wrk

CONNECTIONS = 32
_WARM_UP_SECONDS = 0.2
_PEERS = (ENVOY, HAPROXY, NGINX)
#: what the paths with one route were called before there were more sizes
_FIRST_NAMES = {OURS: "nlb_alb", ALB: "alb", ENVOY: "envoy_http", HAPROXY: "haproxy_http"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run on one path, and the CPU per request of all its processes in microseconds."""

    run: Run
    cpu_us: float


Rounds = Mapping[Key, Sequence[Measured]]


def measure(paths: Mapping[Key, HttpPath], *, rounds: int, seconds: float, until: float) -> Rounds:
    """So many rounds of `seconds` on each path; after `until`, by the monotonic clock, no further one begins.

    Raises RuntimeError when any request failed.
    """
    found: dict[Key, list[Measured]] = defaultdict(list)
    order = list(paths)
    for path in paths.values():
        _run(path, _WARM_UP_SECONDS)
    for _ in range(rounds):
        for key in order:
            found[key].append(_one_run(paths[key], seconds))
        order.reverse()  # none is always the first
        if time.monotonic() > until:
            break
    return found


def _one_run(path: HttpPath, seconds: float) -> Measured:
    before = cpu_seconds(path.pids)
    done = _run(path, seconds)
    return Measured(done, (cpu_seconds(path.pids) - before) / done.requests * 1e6)


def _run(path: HttpPath, seconds: float) -> Run:
    url = f"http://127.0.0.1:{path.port}/"
    return run_wrk(url, connections=CONNECTIONS, seconds=seconds, script=path.script)


def ratios_of(rounds: Rounds) -> dict[str, float]:
    """Ours by theirs, paired by rounds: more is better of requests, less of CPU."""
    rps = {key: [item.run.per_second for item in items] for key, items in rounds.items()}
    cpu = {key: [item.cpu_us for item in items] for key, items in rounds.items()}
    both, envoy, haproxy = Key(OURS, 1), Key(ENVOY, 1), Key(HAPROXY, 1)
    ratios = {
        "rps_vs_envoy_http": paired_ratio(rps[both], rps[envoy]),
        "rps_vs_haproxy_http": paired_ratio(rps[both], rps[haproxy]),
        "cpu_vs_envoy_http": paired_ratio(cpu[both], cpu[envoy]),
        "cpu_vs_haproxy_http": paired_ratio(cpu[both], cpu[haproxy]),
        "alb_rps_vs_envoy_http": paired_ratio(rps[Key(ALB, 1)], rps[envoy]),
        "alb_cpu_vs_envoy_http": paired_ratio(cpu[Key(ALB, 1)], cpu[envoy]),
    }
    for size in SIZES:
        for peer in _PEERS:
            ours, theirs = Key(ALB, size), Key(peer, size)
            ratios[f"rps_vs_{peer}_{size}"] = paired_ratio(rps[ours], rps[theirs])
            ratios[f"cpu_vs_{peer}_{size}"] = paired_ratio(cpu[ours], cpu[theirs])
    return ratios


def figures_of(rounds: Rounds) -> dict[str, float]:
    """The median round of each path."""
    figures: dict[str, float] = {}
    for key, items in rounds.items():
        found = {
            "rps": median(item.run.per_second for item in items),
            "cpu_us": median(item.cpu_us for item in items),
            "p99_ms": median(item.run.p99_ms for item in items),
        }
        figures |= {f"{key.proxy}_{what}_{key.routes}": value for what, value in found.items()}
        if key.routes == 1 and key.proxy in _FIRST_NAMES:
            figures |= {f"{_FIRST_NAMES[key.proxy]}_{what}": value for what, value in found.items()}
    return figures


def table_of(rounds: Rounds, figures: Mapping[str, float], ratios: Mapping[str, float]) -> Table:
    """For people: a line for each path, by size."""
    table = Table(title=f"HTTP, {CONNECTIONS} keep-alive connections, one worker per proxy, 1 KiB answers")
    table.add_column("routes", justify="right")
    table.add_column("path")
    for name in (
        "requests/s",
        "CPU µs per request",
        "p99 ms",
        "ALB's requests/s by this",
        "ALB's CPU by this",
    ):
        table.add_column(name, justify="right")
    for size in SIZES:
        for key in rounds:
            if key.routes == size:
                table.add_row(f"{size:,}", WORDS[key.proxy], *_cells(key, figures, ratios))
        table.add_section()
    return table


def _cells(key: Key, figures: Mapping[str, float], ratios: Mapping[str, float]) -> list[str]:
    name = f"{key.proxy}_{{}}_{key.routes}".format
    ratio = f"{{}}_vs_{key.proxy}_{key.routes}".format
    return [
        f"{figures[name('rps')]:,.0f}",
        f"{figures[name('cpu_us')]:.1f}",
        f"{figures[name('p99_ms')]:.2f}",
        *(f"{ratios[ratio(what)]:.2f}" if key.proxy in _PEERS else "" for what in ("rps", "cpu")),
    ]
