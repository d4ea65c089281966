"""The story: chapters for people, on a terminal and in a file, and for programs. No I/O but printing."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from marchproxy.cli.demo.chapters import Chapter
from marchproxy.cli.demo.load import LoadResult
from marchproxy.cli.look.explain import explanation_text
from marchproxy.cli.screen import Sheet, columns

_BAR = 40
_INDENT = (0, 0, 0, 4)
_COLOURS = {"v1": "blue", "v2": "magenta"}


def tell_opening(console: Console, count: int) -> None:
    """Say what comes."""
    console.print()
    console.print(Text("MarchProxy", style="bold") + Text(f" · one load balancer, shown in {count} steps"))


def tell(console: Console, number: int, chapter: Chapter) -> None:
    """Print one chapter."""
    console.print()
    console.print(Text(f" {number}  ", style="bold reverse") + Text(f"  {chapter.title}", style="bold"))
    console.print(Padding(Text(chapter.told, style="dim"), _INDENT, expand=False))
    if chapter.load is not None:
        console.print(Padding(_figures(chapter.load), _INDENT, expand=False))
    if chapter.load is not None and chapter.shows_split:
        for version in ("v1", "v2"):
            console.print(Padding(_bar(version, chapter.load.percent(version)), _INDENT, expand=False))
    for name, value in sorted(chapter.headers.items()):
        console.print(Padding(Text(f"{name}: {value}", style="yellow"), _INDENT, expand=False))
    if chapter.explanation is not None:
        console.print(Padding(explanation_text(chapter.explanation), _INDENT, expand=False))
    for claim in chapter.claims:
        mark, style = ("✓", "green") if claim.holds else ("✗", "bold red")
        line = Text(f"{mark} {claim.text}: ", style=style) + Text(claim.measured)
        console.print(Padding(line, _INDENT, expand=False))


def tell_summary(console: Console, chapters: Sequence[Chapter], seconds: float) -> bool:
    """Print all measurements side by side, and whether every claim held, which is returned."""
    console.print()
    rows = [(chapter.title, *_cells(chapter.load)) for chapter in chapters if chapter.load is not None]
    heads = columns(
        "step", "#answers", "#failed", "#req/s", "#p50 ms", "#p90 ms", "#p99 ms", "#v1 %", "#v2 %"
    )
    console.print(Sheet("All of it", heads, rows).rendered())
    broken = [claim for chapter in chapters for claim in chapter.claims if not claim.holds]
    total = sum(len(chapter.claims) for chapter in chapters)
    if broken:
        words = f"✗ {len(broken)} of {total} claims did not hold: " + "; ".join(c.text for c in broken)
        console.print(Text(words, style="bold red"))
    else:
        console.print(Text(f"✓ all {total} claims held, in {seconds:.0f} s", style="bold green"))
    return not broken


def as_data(chapters: Sequence[Chapter], seconds: float) -> dict[str, Any]:
    """The story for programs."""
    return {
        "ok": bool(chapters) and all(claim.holds for chapter in chapters for claim in chapter.claims),
        "seconds": round(seconds, 1),
        "chapters": [
            {
                "title": chapter.title,
                "claims": [
                    {"text": claim.text, "holds": claim.holds, "measured": claim.measured}
                    for claim in chapter.claims
                ],
                "load": None if chapter.load is None else _load_data(chapter.load),
                "headers": dict(chapter.headers),
            }
            for chapter in chapters
        ],
    }


def _figures(load: LoadResult) -> Text:
    text = Text(f"{load.answered:,} answers in {load.seconds:.1f} s: ")
    text.append(f"{load.rate:,.0f} requests/s", style="bold")
    return text.append(
        f"; latency p50 {load.percentile(0.5):.2f} ms, p90 {load.percentile(0.9):.2f} ms, "
        f"p99 {load.percentile(0.99):.2f} ms"
    )


def _bar(version: str, percent: float) -> Text:
    filled = round(percent / 100 * _BAR)
    text = Text(f"{version} ", style="bold")
    text.append("█" * filled, style=_COLOURS.get(version, ""))
    text.append("░" * (_BAR - filled), style="dim")
    return text.append(f" {percent:5.1f} %")


def _cells(load: LoadResult) -> tuple[str, ...]:
    latencies = (load.percentile(share) for share in (0.5, 0.9, 0.99))
    return (
        f"{load.answered:,}",
        f"{load.failed:,}",
        f"{load.rate:,.0f}",
        *(f"{value:.2f}" for value in latencies),
        f"{load.percent('v1'):.1f}",
        f"{load.percent('v2'):.1f}",
    )


def _load_data(load: LoadResult) -> Mapping[str, Any]:
    return {
        "answers": load.answered,
        "failed": load.failed,
        "seconds": round(load.seconds, 3),
        "requests_per_second": round(load.rate, 1),
        "latency_ms": {
            "p50": round(load.percentile(0.5), 3),
            "p90": round(load.percentile(0.9), 3),
            "p99": round(load.percentile(0.99), 3),
        },
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
        "percent": {version: round(load.percent(version), 3) for version in ("v1", "v2")},
    }
