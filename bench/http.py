"""bench.http: NLB and ALB in a row, and the ALB alone, against a bare Envoy and HAProxy as HTTP proxies."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.support.documents import one_route
from bench.support.marchproxy import running_alb, running_nlb
from bench.support.numbers import paired_ratio
from bench.support.peers import backend, envoy_http, haproxy_http
from bench.support.ports import free_ports
from bench.support.processes import cpu_seconds, family, wait_for_http
from bench.support.report import Report, load_note
from bench.support.stage import run
from bench.support.wrk import Run, run_wrk

_CONNECTIONS = 32
_OURS, _ALB, _ENVOY, _HAPROXY = "nlb_alb", "alb", "envoy_http", "haproxy_http"


@dataclass(frozen=True, slots=True)
class _Path:
    """A way to a backend: where the client connects, and every process that works for it."""

    words: str
    port: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Measured:
    run: Run
    cpu_us: float


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    with ExitStack() as stack:
        paths = _start(stack, directory)
        for path in paths.values():
            run_wrk(_url(path), connections=_CONNECTIONS, seconds=1)
        rounds: dict[str, list[_Measured]] = defaultdict(list)
        for _ in range(3 if quick else 9):
            for name, path in paths.items():
                rounds[name].append(_one_run(path, seconds=2 if quick else 4))
    figures = _figures(rounds)
    return Report("http", _table(paths, figures), _ratios(rounds), figures, load_note())


def _start(stack: ExitStack, directory: Path) -> dict[str, _Path]:
    """Everything side by side, each path with a backend port of its own (TIME_WAIT of one would slow another)."""
    behind_both, behind_alb, behind_envoy, behind_haproxy, web, unused, envoy, haproxy = free_ports(8)
    stack.enter_context(backend([behind_both, behind_alb, behind_envoy, behind_haproxy], directory))
    state = one_route(behind_both, web)
    nlb = stack.enter_context(running_nlb("nlb", state, directory))
    second = stack.enter_context(running_alb("alb-behind-nlb", state, directory, nlb=nlb.grpc))
    wait_for_http(f"http://127.0.0.1:{web}/", second.process, directory / "nlb.log")
    alone = stack.enter_context(running_alb("alb", one_route(behind_alb, unused), directory))
    wait_for_http(f"http://127.0.0.1:{alone.traffic}/", alone.process, directory / "alb.log")
    bare = stack.enter_context(envoy_http(envoy, behind_envoy, directory))
    ha = stack.enter_context(haproxy_http(haproxy, behind_haproxy, directory))
    both = (*family(nlb.process.pid), *family(second.process.pid))
    return {
        _OURS: _Path("NLB → ALB", web, both),
        _ENVOY: _Path("Envoy HTTP", envoy, (bare.pid,)),
        _HAPROXY: _Path("HAProxy HTTP", haproxy, (ha.pid,)),
        _ALB: _Path("ALB alone", alone.traffic, tuple(family(alone.process.pid))),
    }


def _one_run(path: _Path, *, seconds: int) -> _Measured:
    before = cpu_seconds(path.pids)
    done = run_wrk(_url(path), connections=_CONNECTIONS, seconds=seconds)
    return _Measured(done, (cpu_seconds(path.pids) - before) / done.requests * 1e6)


def _url(path: _Path) -> str:
    return f"http://127.0.0.1:{path.port}/"


def _ratios(rounds: Mapping[str, list[_Measured]]) -> dict[str, float]:
    rps = {name: [item.run.per_second for item in items] for name, items in rounds.items()}
    cpu = {name: [item.cpu_us for item in items] for name, items in rounds.items()}
    return {
        "rps_vs_envoy_http": paired_ratio(rps[_OURS], rps[_ENVOY]),
        "rps_vs_haproxy_http": paired_ratio(rps[_OURS], rps[_HAPROXY]),
        "cpu_vs_envoy_http": paired_ratio(cpu[_OURS], cpu[_ENVOY]),
        "cpu_vs_haproxy_http": paired_ratio(cpu[_OURS], cpu[_HAPROXY]),
        "alb_rps_vs_envoy_http": paired_ratio(rps[_ALB], rps[_ENVOY]),
        "alb_cpu_vs_envoy_http": paired_ratio(cpu[_ALB], cpu[_ENVOY]),
    }


def _figures(rounds: Mapping[str, list[_Measured]]) -> dict[str, float]:
    figures = {}
    for name, items in rounds.items():
        figures[f"{name}_rps"] = median(item.run.per_second for item in items)
        figures[f"{name}_cpu_us"] = median(item.cpu_us for item in items)
        figures[f"{name}_p99_ms"] = median(item.run.p99_ms for item in items)
    return figures


def _table(paths: Mapping[str, _Path], figures: Mapping[str, float]) -> Table:
    table = Table(title=f"HTTP, {_CONNECTIONS} keep-alive connections, one worker per proxy, 1 KiB answers")
    table.add_column("path")
    for name in ("requests/s", "CPU µs per request", "p99 ms"):
        table.add_column(name, justify="right")
    for name, path in paths.items():
        table.add_row(
            path.words,
            f"{figures[f'{name}_rps']:,.0f}",
            f"{figures[f'{name}_cpu_us']:.1f}",
            f"{figures[f'{name}_p99_ms']:.2f}",
        )
    return table


if __name__ == "__main__":
    run("http", __doc__ or "", _measure, needs=("haproxy", "wrk"))
