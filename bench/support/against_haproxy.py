"""A DBLB with one worker against HAProxy in TCP mode and no proxy at all, for protocols whose balancers all relay bytes."""

import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.support.dblb import Asked, Path3, dblb, haproxy
from bench.support.numbers import paired_ratio
from bench.support.processes import cpu_seconds
from bench.support.report import Report, load_note

CLIENTS = 16
_WORDS = {"direct": "direct", "haproxy": "HAProxy TCP", "dblb": "DBLB, 1 worker"}


@dataclass(frozen=True, slots=True)
class Done:
    """What a run came to."""

    operations: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Contest:
    """What is compared: `ask` is given a port and about how many seconds to ask there."""

    name: str
    what: str
    server: Callable[[Path], AbstractContextManager[int]]
    ask: Callable[[int, float], Done]
    asked: Asked


def measure(contest: Contest, directory: Path, *, quick: bool) -> Report:
    """All paths in turn. Raises NotReady; RuntimeError when a load failed."""
    per_second: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        server = stack.enter_context(contest.server(directory))
        paths: Sequence[Path3] = (
            Path3("direct", server),
            stack.enter_context(haproxy("haproxy", server, directory)),
            stack.enter_context(dblb("dblb", server, contest.asked, directory)),
        )
        for path in paths:
            contest.ask(path.port, 0.5)
        for _ in range(4 if quick else 12):
            for path in paths:
                before = cpu_seconds(path.pids)
                done = contest.ask(path.port, 1.0 if quick else 2.0)
                per_second[path.name].append(done.operations / done.seconds)
                cpu[path.name].append((cpu_seconds(path.pids) - before) / done.operations * 1e6)
            paths = paths[::-1]
    ratios = {
        "ops_vs_haproxy": paired_ratio(per_second["dblb"], per_second["haproxy"]),
        "cpu_vs_haproxy": paired_ratio(cpu["dblb"], cpu["haproxy"]),
        "ops_vs_direct": paired_ratio(per_second["dblb"], per_second["direct"]),
    }
    figures = {f"{name}_ops": median(found) for name, found in per_second.items()}
    figures |= {f"{name}_cpu_us": median(found) for name, found in cpu.items()}
    table = Table(title=f"{contest.what}, {CLIENTS} clients")
    for title in ("path", "operations/s", "CPU µs/operation"):
        table.add_column(title, justify="left" if title == "path" else "right")
    for name, words in _WORDS.items():
        table.add_row(words, f"{figures[f'{name}_ops']:,.0f}", f"{figures[f'{name}_cpu_us']:,.1f}")
    return Report(contest.name, table, ratios, figures, load_note())


def output_of(command: Sequence[str | Path]) -> str:
    """What a load generator prints. Raises RuntimeError when it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")
    return done.stdout
