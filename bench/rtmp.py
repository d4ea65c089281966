"""bench.rtmp: an RTMP module with one worker against nginx-rtmp as an origin, and against nginx's stream module as a relay."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.support.dblb import Path3
from bench.support.numbers import paired_ratio
from bench.support.report import Report, load_note
from bench.support.rtmp_asking import Round, Scene, ask, check_relayed
from bench.support.rtmp_servers import nginx_rtmp, nginx_stream, rtmp
from bench.support.stage import run

#: Who comes where there is one rate of cheap streams, and one of expensive ones.
_SCENES = {
    "players_600": Scene(1, 300, 600),
    "players_6000": Scene(1, 80, 6000),
    "publishers_600": Scene(100, 0, 600),
    "publishers_6000": Scene(30, 0, 6000),
}
#: When it shall be quick.
_LEFT_OUT = {"publishers_6000"}
_RELAYED = {"relay_6000": Scene(20, 20, 6000)}
_Found = Mapping[tuple[str, str], Sequence[Round]]


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    found: dict[tuple[str, str], list[Round]] = defaultdict(list)
    with ExitStack() as stack:
        origins = [stack.enter_context(nginx_rtmp(name, directory)) for name in ("origin_a", "origin_b")]
        served = (
            stack.enter_context(nginx_rtmp("nginx_rtmp", directory)),
            stack.enter_context(rtmp("marchproxy", directory)),
        )
        relays = (
            stack.enter_context(nginx_stream("nginx_stream", directory, origin=origins[0].port)),
            stack.enter_context(rtmp("relay", directory, origin=origins[1].port)),
        )
        for relay, origin in zip(relays, origins, strict=True):
            check_relayed(relay, origin.port)
        rounds, seconds = (1, 1.0) if quick else (6, 3.0)
        scenes = {name: one for name, one in _SCENES.items() if not quick or name not in _LEFT_OUT}
        for number in range(rounds):
            _round(scenes, served[:: 1 if number % 2 else -1], seconds, found)
            _round(_RELAYED, relays[:: 1 if number % 2 else -1], seconds, found)
    return Report("rtmp", _table(found), _ratios(found), _figures(found), load_note())


def _round(
    scenes: Mapping[str, Scene],
    paths: Sequence[Path3],
    seconds: float,
    found: dict[tuple[str, str], list[Round]],
) -> None:
    for name, scene in scenes.items():
        for path in paths:
            found[name, path.name].append(ask(path, scene, seconds))


def _ratios(found: _Found) -> dict[str, float]:
    def per_core(scene: str) -> float:
        """How many more of them a core of ours has: the less CPU, the more."""
        return paired_ratio(_cpu(found, scene, "nginx_rtmp"), _cpu(found, scene, "marchproxy"))

    asked = {scene for scene, path in found if path == "marchproxy"}
    ratios = {}
    for scene in sorted(asked):
        what, _, rate = scene.partition("_")
        ratios[f"{what}_per_core_vs_nginx_rtmp{'' if rate == '600' else f'_{rate}'}"] = per_core(scene)
    relayed = paired_ratio(_cpu(found, "relay_6000", "relay"), _cpu(found, "relay_6000", "nginx_stream"))
    return {**ratios, "relay_cpu_vs_nginx_stream": relayed}


def _figures(found: _Found) -> dict[str, float]:
    figures: dict[str, float] = {}
    for (scene, path), rounds in found.items():
        asked = (_SCENES | _RELAYED)[scene]
        cpu = median(one.cpu for one in rounds)
        figures[f"{path}_{scene}_per_core"] = (asked.players or asked.publishers) / cpu
        figures[f"{path}_{scene}_cpu_s_per_gbit"] = cpu / asked.bitrate
        if asked.players:
            figures[f"{path}_{scene}_p50_ms"] = median(one.p50 for one in rounds) * 1000
            figures[f"{path}_{scene}_p99_ms"] = median(one.p99 for one in rounds) * 1000
    figures["added_latency_p99_ms"] = figures["marchproxy_players_600_p99_ms"]
    figures["load_late_ms"] = max(one.late for rounds in found.values() for one in rounds) * 1000
    return figures


def _cpu(found: _Found, scene: str, path: str) -> list[float]:
    return [one.cpu for one in found[scene, path]]


def _table(found: _Found) -> Table:
    figures = _figures(found)
    table = Table(title="Streams, one worker each; CPU of all processes of a server")
    for title in ("scene", "server", "per core", "CPU s/Gbit", "latency p50", "p99"):
        table.add_column(title, justify="left" if title in {"scene", "server"} else "right")
    for scene, path in sorted(found):
        keys = (f"{path}_{scene}_{name}" for name in ("per_core", "cpu_s_per_gbit", "p50_ms", "p99_ms"))
        values = [figures.get(key) for key in keys]
        words = ["" if one is None else f"{one:,.3f}" if one < 10 else f"{one:,.0f}" for one in values]
        table.add_row(scene, path, *words)
    return table


if __name__ == "__main__":
    run("rtmp", __doc__ or "", _measure, needs=("nginx",))
