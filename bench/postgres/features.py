"""What each feature costs: the CPU of a DBLB that has it by that of one that has none, for the same reads."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from bench.postgres.paths import asked
from bench.postgres.pgbench import run_pgbench
from bench.support.dblb import Asked, Path3, dblb
from bench.support.numbers import paired_ratio
from bench.support.processes import cpu_seconds

_PLAIN = "nothing"
_CLIENTS = 16
_RULES = [
    {"id": "no-ddl", "mode": "block", "kinds": ["ddl"]},
    {"id": "nothing-secret", "mode": "block", "tables": ["secret"]},
]
WORDS = {
    "limits": "a limit of statements for each user",
    "firewall": "a firewall of two rules",
    "splitting": "reads may go to replicas (there is none)",
}


def _settings() -> Mapping[str, Asked]:
    plain = asked(workers=1)
    limit = {"id": "much", "target": "db", "per": "user", "requests_per_second": 1_000_000}
    return {
        _PLAIN: plain,
        "limits": replace(plain, limits=(limit,)),
        "firewall": replace(plain, route={"firewall": _RULES}),
        "splitting": replace(plain, route={"split_reads": True}),
    }


@contextmanager
def every_feature(server: int, directory: Path) -> Iterator[dict[str, Path3]]:
    """A DBLB with each feature, and one with none. Raises NotReady."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(dblb(f"with-{name}", server, settings, directory))
            for name, settings in _settings().items()
        }


def measure(paths: Mapping[str, Path3], directory: Path, *, rounds: int, seconds: float) -> dict[str, float]:
    """CPU for each transaction with a feature by CPU without, extended protocol."""
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, path in paths.items():
            found[name].append(_cpu(path, seconds, directory))
    return {name: paired_ratio(found[name], found[_PLAIN]) for name in WORDS}


def _cpu(path: Path3, seconds: float, directory: Path) -> float:
    before = cpu_seconds(path.pids)
    done = run_pgbench(path.port, protocol="extended", clients=_CLIENTS, seconds=seconds, directory=directory)
    return (cpu_seconds(path.pids) - before) / done.count


def table_of(features: Mapping[str, float]) -> Table:
    """The prices, for people."""
    table = Table(
        title=f"CPU of a transaction, of what it is without (extended, {_CLIENTS} clients, 1 worker)"
    )
    table.add_column("feature")
    table.add_column("", justify="right")
    for name, words in WORDS.items():
        table.add_row(words, f"{features[name]:.2f}")
    return table
