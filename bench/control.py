"""bench.control: what the calls of an ALB cost, mutations up to Envoy's acknowledgement, and the memory they leave."""

import asyncio
import gc
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import grpc
import uvloop
from rich.table import Table

from bench.support.calls import Call, Client, Load, load, milliseconds
from bench.support.documents import catalogue
from bench.support.marchproxy import Service, running_alb
from bench.support.numbers import paired_ratio, percentile
from bench.support.ports import free_ports
from bench.support.processes import child, python, resident_mb
from bench.support.report import Report, load_note
from bench.support.stage import run

_FEW, _MANY = 10, 1000
_CONCURRENCY = 50
_SETTLE_SECONDS = 2.0  # the last of what mutations leave behind is written after so long
_MANY_SUFFIX = f"_{_MANY}_routes"


@dataclass(frozen=True, slots=True)
class _Timed:
    """One kind of call: `count` of them in each round, `before` each of them, untimed."""

    name: str
    call: Call
    count: int
    before: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    figure: str
    limit: float
    unit: str
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


_TARGETS = (
    _Target("get_status_p99_ms", 1, "ms"),
    _Target("get_routes_p99_ms", 5, "ms"),
    _Target("get_metrics_p99_ms", 5, "ms"),
    _Target("set_rate_limit_p99_ms", 10, "ms"),
    _Target("set_traffic_weight_p99_ms", 10, "ms"),
    _Target("reload_s", 2, "s"),
    _Target("get_status_calls_per_s", 8000, "/s", at_least=True),
    _Target("supervisor_rss_mb", 90, "MiB"),
)


class _Rounds:
    """Samples of all rounds, by kind of call."""

    def __init__(self) -> None:
        self.times: dict[str, list[list[float]]] = defaultdict(list)
        self.loads: dict[str, list[Load]] = defaultdict(list)

    def figures(self, pick: Callable[[Iterable[float]], float] = median) -> dict[str, float]:
        """A figure per kind of call: percentiles within each round, and of the rounds the one that `pick` takes."""
        figures = {}
        for name, rounds in self.times.items():
            call, many, _ = name.partition(_MANY_SUFFIX)
            if call == "reload":
                figures[f"reload_s{many}"] = pick(max(times) for times in rounds) / 1000
                continue
            for percent in (50, 99):
                figures[f"{call}_p{percent}_ms{many}"] = pick(percentile(times, percent) for times in rounds)
        for name, loads in self.loads.items():
            figures[f"{name}_calls_per_s"] = 1 / pick(1 / load.rate for load in loads)
            figures[f"{name}_cpu_us"] = pick(load.cpu_us for load in loads)
        return figures

    def ratios(self) -> dict[str, float]:
        p50 = {name: [percentile(times, 50) for times in rounds] for name, rounds in self.times.items()}
        ours, bare = self.loads["get_status"], self.loads["bare_grpc"]
        return {
            "get_status_vs_bare_grpc": paired_ratio(p50["get_status"], p50["bare_grpc"]),
            "get_status_calls_per_s_vs_bare_grpc": paired_ratio(
                [load.rate for load in ours], [load.rate for load in bare]
            ),
            "get_status_cpu_vs_bare_grpc": paired_ratio(
                [load.cpu_us for load in ours], [load.cpu_us for load in bare]
            ),
        }


async def _play(few: Service, many: Service, bare: str, bare_pid: int, *, quick: bool) -> _Rounds:
    rounds = _Rounds()
    async with (
        grpc.aio.insecure_channel(few.grpc) as few_channel,
        grpc.aio.insecure_channel(many.grpc) as many_channel,
        grpc.aio.insecure_channel(bare) as bare_channel,
    ):
        async with asyncio.timeout(10):
            await bare_channel.channel_ready()
        small = Client(few_channel, _FEW)
        large = Client(many_channel, _MANY)
        plain = Client(bare_channel)
        timeouts = itertools.count(1)

        def rewrite(service: Service, routes: int) -> None:
            service.rewrite(catalogue(routes, timeout=f"{next(timeouts)}s"))

        plan = [
            *_plan(small, large, plain),
            _Timed("reload", small.reload, 3, before=lambda: rewrite(few, _FEW)),
            _Timed(f"reload{_MANY_SUFFIX}", large.reload, 1, before=lambda: rewrite(many, _MANY)),
        ]
        gc.disable()  # collecting between rounds: the pauses of the client are not what is measured
        for timed in plan:
            await milliseconds(timed.call, 3, before=timed.before)
        sides = [("get_status", small, few.process.pid), ("bare_grpc", plain, bare_pid)]
        for _ in range(3 if quick else 9):
            gc.collect()
            await asyncio.sleep(_SETTLE_SECONDS)
            for name, client, pid in sides:
                measured = await load(client.get_status, pid, concurrency=_CONCURRENCY, seconds=1.5)
                rounds.loads[name].append(measured)
            sides.reverse()  # neither is always the first
            for timed in plan:
                times = await milliseconds(timed.call, timed.count, before=timed.before)
                rounds.times[timed.name].append(times)
    return rounds


def _plan(small: Client, large: Client, plain: Client) -> list[_Timed]:
    return [
        _Timed("get_status", small.get_status, 1000),
        _Timed("bare_grpc", plain.get_status, 1000),
        _Timed("get_metrics", small.get_metrics, 300),
        _Timed("set_rate_limit", small.set_rate_limit, 150),
        _Timed("set_traffic_weight", small.set_traffic_weight, 150),
        _Timed("get_routes", large.get_routes, 150),
        _Timed(f"get_metrics{_MANY_SUFFIX}", large.get_metrics, 100),
        _Timed(f"set_rate_limit{_MANY_SUFFIX}", large.set_rate_limit, 40),
        _Timed(f"set_traffic_weight{_MANY_SUFFIX}", large.set_traffic_weight, 40),
    ]


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    with ExitStack() as stack:
        few = stack.enter_context(running_alb("few", catalogue(_FEW), directory))
        many = stack.enter_context(running_alb("many", catalogue(_MANY), directory))
        (port,) = free_ports(1)
        message = directory / "status.bin"
        message.write_bytes(uvloop.run(_status(few)))
        yardstick = stack.enter_context(
            child("bare", python("bench.support.bare", str(port), message), directory)
        )
        rounds = uvloop.run(_play(few, many, f"127.0.0.1:{port}", yardstick.pid, quick=quick))
        figures = rounds.figures()
        figures["supervisor_rss_mb"] = resident_mb(few.process.pid)
        figures[f"supervisor_rss_mb{_MANY_SUFFIX}"] = resident_mb(many.process.pid)
    return Report("control", _table(figures, rounds.figures(min)), rounds.ratios(), figures, load_note())


async def _status(alb: Service) -> bytes:
    """GetStatus's answer: what the bare server sends, so that both send the same."""
    async with grpc.aio.insecure_channel(alb.grpc) as channel:
        return (await Client(channel).get_status()).SerializeToString()


def _table(figures: Mapping[str, float], best: Mapping[str, float]) -> Table:
    table = Table(title=f"ALB control plane, {_FEW} routes (GetRoutes: {_MANY})")
    table.add_column("figure")
    for name in ("median round", "best round", "target"):
        table.add_column(name, justify="right")
    table.add_column("")
    for target in _TARGETS:
        value, sign = figures[target.figure], "≥" if target.at_least else "≤"
        verdict = "[green]met[/]" if target.met(value) else "[red]missed[/]"
        limit = f"{sign} {target.limit:,g} {target.unit}"
        table.add_row(target.figure, *_cells(figures, best, target.figure), limit, verdict)
    table.add_section()
    for name in sorted(figures.keys() - {target.figure for target in _TARGETS}):
        table.add_row(name, *_cells(figures, best, name), "", "")
    return table


def _cells(figures: Mapping[str, float], best: Mapping[str, float], name: str) -> tuple[str, str]:
    return f"{figures[name]:,.2f}", f"{best[name]:,.2f}" if name in best else ""


if __name__ == "__main__":
    run("control", __doc__ or "", _measure)
