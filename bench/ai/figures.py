"""Figures: what the rounds come to as ratios, figures and tables."""

from collections.abc import Mapping
from statistics import median

from rich.console import Group
from rich.table import Table

from bench.ai.paths import AILB, DIRECT, ENVOY, LITELLM, WORDS
from bench.ai.rounds import CONNECTIONS, Found
from bench.ai.streams import LOADS
from bench.support.numbers import paired_ratio, percentile

_AIMS = {
    "rps_vs_litellm": ("requests/s against LiteLLM", "≥", 20.0),
    "cpu_per_chunk_vs_envoy": ("CPU per streamed chunk against Envoy by hand, 64 streams", "≤", 1.3),
    "added_p99_ms_64": ("a token takes longer than directly, p99, 64 streams, ms", "≤", 2.0),
}
_OF_STREAMS = {
    "ttft_p50_ms": "first byte p50",
    "ttft_p99_ms": "first byte p99",
    "token_p50_ms": "a token p50",
    "token_p99_ms": "a token p99",
    "gap_p99_ms": "between tokens p99",
    "chunk_cpu_us": "CPU µs/chunk",
}


def ratios_of(found: Found) -> dict[str, float]:
    """AILB by others, paired by rounds."""
    rps = {name: [each.run.per_second for each in runs] for name, runs in found.requests.items()}
    cpu = {name: [each.cpu_us for each in runs] for name, runs in found.requests.items()}
    chunk = {key: [window.cpu_us for window in windows] for key, windows in found.windows.items()}
    ratios = {
        "rps_vs_litellm": paired_ratio(rps[AILB], rps[LITELLM]),
        "rps_vs_envoy": paired_ratio(rps[AILB], rps[ENVOY]),
        "cpu_per_request_vs_litellm": paired_ratio(cpu[AILB], cpu[LITELLM]),
        "cpu_per_request_vs_envoy": paired_ratio(cpu[AILB], cpu[ENVOY]),
        "cpu_per_chunk_vs_envoy": paired_ratio(chunk[AILB, "64"], chunk[ENVOY, "64"]),
    }
    for label in LOADS:
        ratios[f"cpu_per_chunk_vs_envoy_{label}"] = paired_ratio(chunk[AILB, label], chunk[ENVOY, label])
    return ratios


def figures_of(found: Found, rss_mb: Mapping[str, float]) -> dict[str, float]:
    """The median round of everything, and what is added to the direct way in the same round."""
    figures: dict[str, float] = {"rss_mb": rss_mb[AILB]}
    for name, runs in found.requests.items():
        figures[f"{name}_rps"] = median(each.run.per_second for each in runs)
        figures[f"{name}_p50_ms"] = median(each.run.p50_ms for each in runs)
        figures[f"{name}_p99_ms"] = median(each.run.p99_ms for each in runs)
        figures[f"{name}_request_cpu_us"] = median(each.cpu_us for each in runs)
    for name, size in rss_mb.items():
        figures[f"{name}_rss_mb"] = size
    for (name, label), windows in found.windows.items():
        rounds = [window.numbers() for window in windows]
        figures |= {f"{name}_{key}_{label}": median(each[key] for each in rounds) for key in _OF_STREAMS}
    for label in LOADS:
        figures |= _added(found, label)
    return figures


def _added(found: Found, label: str) -> dict[str, float]:
    """What an AILB adds. There are few first bytes in a round, so those of all rounds are taken together."""
    ours, direct = found.windows[AILB, label], found.windows[DIRECT, label]
    pairs = [(a.numbers(), b.numbers()) for a, b in zip(ours, direct, strict=True)]
    added = {
        name: median(a[key] - b[key] for a, b in pairs)
        for name, key in (
            ("added_p50_ms", "token_p50_ms"),
            ("added_p99_ms", "token_p99_ms"),
            ("gap_added_p99_ms", "gap_p99_ms"),
        )
    }
    for percent in (50, 99):
        first = [
            percentile([ms for window in each for ms in window.first_ms], percent) for each in (ours, direct)
        ]
        added[f"ttft_added_p{percent}_ms"] = first[0] - first[1]
    return {f"{name}_{label}": value for name, value in added.items()}


def tables(figures: Mapping[str, float], ratios: Mapping[str, float]) -> Group:
    """For people."""
    return Group(
        _whole(figures), *(_streamed(label, figures) for label in LOADS), _aims({**figures, **ratios})
    )


def _whole(figures: Mapping[str, float]) -> Table:
    table = Table(title=f"Whole answers, {CONNECTIONS} connections, one worker each")
    table.add_column("path")
    for title in ("requests/s", "p50 ms", "p99 ms", "CPU µs/request", "memory MiB"):
        table.add_column(title, justify="right")
    for name, words in WORDS.items():
        table.add_row(
            words,
            f"{figures[f'{name}_rps']:,.0f}",
            f"{figures[f'{name}_p50_ms']:.2f}",
            f"{figures[f'{name}_p99_ms']:.2f}",
            f"{figures[f'{name}_request_cpu_us']:,.0f}",
            f"{figures[f'{name}_rss_mb']:,.0f}",
        )
    return table


def _streamed(label: str, figures: Mapping[str, float]) -> Table:
    load = LOADS[label]
    how = "all at once" if load.steps else "each by its own clock"
    table = Table(title=f"{load.streams} streams, a token every {load.token_ms:g} ms, {how}; milliseconds")
    table.add_column("path")
    for title in _OF_STREAMS.values():
        table.add_column(title, justify="right")
    for name, words in WORDS.items():
        cells = [figures.get(f"{name}_{key}_{label}") for key in _OF_STREAMS]
        table.add_row(words, *("" if cell is None else f"{cell:,.2f}" for cell in cells))
    return table


def _aims(found: Mapping[str, float]) -> Table:
    table = Table(title="Aims")
    for title in ("", "measured", "aim", ""):
        table.add_column(title)
    for key, (words, sign, aim) in _AIMS.items():
        met = found[key] >= aim if sign == "≥" else found[key] <= aim
        verdict = "[green]met[/]" if met else "[red]missed[/]"
        table.add_row(words, f"{found[key]:.2f}", f"{sign} {aim:g}", verdict)
    return table
