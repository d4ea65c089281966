"""bench.postgres: DBLB with one and two workers against PgBouncer, HAProxy in TCP mode, and no proxy at all."""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Group
from rich.table import Table

from bench.postgres.features import every_feature
from bench.postgres.features import measure as measure_features
from bench.postgres.features import table_of as features_table
from bench.postgres.idle import idle_client_kb
from bench.postgres.paths import BOUNCER, DIRECT, HAPROXY, ONE, TWO, WORDS, every_path
from bench.postgres.pgbench import Transactions, run_pgbench
from bench.support.database_servers import postgres
from bench.support.dblb import Path3
from bench.support.numbers import paired_ratio
from bench.support.processes import cpu_seconds
from bench.support.report import Report, load_note
from bench.support.stage import run

PROTOCOLS = ("simple", "extended", "prepared")
#: Debian's PgBouncer is older than prepared statements in pools.
_NO_PREPARED = (BOUNCER,)


@dataclass(frozen=True, slots=True)
class Load:
    """How pgbench asks, and from how many connections."""

    protocol: str
    clients: int

    @property
    def key(self) -> str:
        return f"{self.protocol}_{self.clients}"

    @property
    def slowness(self) -> float:
        """How much longer a run is, because its seconds begin with connecting all clients."""
        return 1 if self.clients < 100 else 1 + self.clients / 200


@dataclass(frozen=True, slots=True)
class Measured:
    """One run on one path, and the CPU for each transaction of all processes of the proxy, in microseconds."""

    run: Transactions
    cpu_us: float


Rounds = Mapping[tuple[str, Load], Sequence[Measured]]


def loads(*, quick: bool) -> list[Load]:
    """What is measured; the quick half of it has what ratios are told of."""
    if quick:
        return [Load(protocol, clients) for clients in (16, 200) for protocol in ("simple", "extended")]
    return [Load(protocol, clients) for clients in (1, 16, 200, 1000) for protocol in PROTOCOLS]


def measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    """All paths in turn, then what idle clients and features cost."""
    started, seconds = time.monotonic(), 1.0 if quick else 2.0
    found: dict[tuple[str, Load], list[Measured]] = defaultdict(list)
    with ExitStack() as stack:
        server = stack.enter_context(postgres(directory))
        paths = stack.enter_context(every_path(server, directory))
        # before clients take up ports by the hundred
        featured = stack.enter_context(every_feature(server, directory))
        # first of all: what busier times leave behind would be given to idle clients for nothing
        idle = {path.name: idle_client_kb(path, 100 if quick else 500) for path in paths if path.pids}
        for _ in range(1 if quick else 5):
            for load in loads(quick=quick):
                for path in paths:
                    if _can(path, load, quick=quick):
                        found[path.name, load].append(one_run(path, load, seconds * load.slowness, directory))
            paths = paths[::-1]  # none is always the first
            if not quick and time.monotonic() - started > 20 * 60:
                break
        features = measure_features(
            featured, directory, rounds=1 if quick else 5, seconds=1.0 if quick else 2.0
        )
    ratios, figures = ratios_of(found), figures_of(found)
    figures |= {"idle_client_kb": idle[ONE], **{f"{name}_idle_client_kb": kb for name, kb in idle.items()}}
    ratios |= {f"cpu_with_{name}": value for name, value in features.items()}
    tables = Group(*(_table(load, figures, idle) for load in loads(quick=quick)), features_table(features))
    return Report("postgres", tables, ratios, figures, load_note())


def _can(path: Path3, load: Load, *, quick: bool) -> bool:
    if quick and load.clients > 16:
        return path.name in {ONE, BOUNCER}
    return not (path.name in _NO_PREPARED and load.protocol == "prepared")


def one_run(path: Path3, load: Load, seconds: float, directory: Path) -> Measured:
    """Measure once."""
    before = cpu_seconds(path.pids)
    done = run_pgbench(
        path.port, protocol=load.protocol, clients=load.clients, seconds=seconds, directory=directory
    )
    return Measured(done, (cpu_seconds(path.pids) - before) / max(1, done.count) * 1e6)


def ratios_of(rounds: Rounds) -> dict[str, float]:
    """Ours by theirs, paired by rounds, with one worker, or with two where the key says so; more is better of tps, less of CPU."""
    ratios: dict[str, float] = {}

    def told(name: str, ours: str, theirs: str, load: Load, what: str) -> None:
        both = rounds.get((ours, load)), rounds.get((theirs, load))
        if both[0] and both[1]:
            series = [[_value(item, what) for item in items] for items in both if items]
            ratios[name] = paired_ratio(series[0], series[1]) if min(series[1]) > 0 else math.nan

    for protocol in ("simple", "extended"):
        for clients in (16, 200):
            load = Load(protocol, clients)
            for what in ("tps", "cpu"):
                told(f"{what}_vs_pgbouncer_{load.key}", ONE, BOUNCER, load, what)
                told(f"{what}_vs_haproxy_{load.key}", ONE, HAPROXY, load, what)
                told(f"two_workers_{what}_vs_pgbouncer_{load.key}", TWO, BOUNCER, load, what)
    told("tps_vs_direct_simple_16", ONE, DIRECT, Load("simple", 16), "tps")
    return ratios


def _value(item: Measured, what: str) -> float:
    return item.run.per_second if what == "tps" else item.cpu_us


def figures_of(rounds: Rounds) -> dict[str, float]:
    """The median round of each path and load."""
    figures: dict[str, float] = {}
    for (name, load), items in rounds.items():
        figures |= {
            f"{name}_tps_{load.key}": median(item.run.per_second for item in items),
            f"{name}_p50_ms_{load.key}": median(item.run.p50_ms for item in items),
            f"{name}_p99_ms_{load.key}": median(item.run.p99_ms for item in items),
            f"{name}_cpu_us_{load.key}": median(item.cpu_us for item in items),
        }
    return figures


def _table(load: Load, figures: Mapping[str, float], idle: Mapping[str, float]) -> Table:
    table = Table(title=f"pgbench -S, {load.protocol}, {load.clients} clients")
    table.add_column("path")
    for title in ("tps", "p50 ms", "p99 ms", "CPU µs/transaction", "KiB per idle client"):
        table.add_column(title, justify="right")
    for name, words in WORDS.items():
        if f"{name}_tps_{load.key}" in figures:
            cells = [
                f"{figures[f'{name}_{what}_{load.key}']:,.{digits}f}"
                for what, digits in (("tps", 0), ("p50_ms", 2), ("p99_ms", 2), ("cpu_us", 1))
            ]
            table.add_row(words, *cells, f"{idle[name]:,.1f}" if name in idle else "")
    return table


if __name__ == "__main__":
    run("postgres", __doc__ or "", measure, needs=("haproxy", "pgbouncer", "pgbench"))
