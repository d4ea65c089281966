"""Exposition: families as text that Prometheus reads. Written by hand: it is a scrape of 10,000 series in some ms.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from marchproxy.engines.envoy.metrics.buckets import BOUNDS
from marchproxy.engines.envoy.metrics.family import Family, Kind, Labels
from marchproxy.engines.envoy.metrics.tally import Series

_EDGES = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")


def render(families: Iterable[tuple[Family, Iterable[Series]]], *, gauges: bool = True) -> bytes:
    """The text. Without `gauges` for when what is now is not known; a family without series is left out."""
    lines: list[str] = []
    for family, members in families:
        if family.kind is Kind.GAUGE and not gauges:
            continue
        written = [line for series in members for line in _lines(series)]
        if written:
            lines += (
                f"# HELP {family.full_name} {family.text}",
                f"# TYPE {family.full_name} {family.kind.value}",
            )
            lines += written
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _lines(series: Series) -> Iterator[str]:
    name, labels = series.family.full_name, label_text(series.labels)
    if series.family.kind is not Kind.HISTOGRAM:
        yield f"{name}{{{labels}}} {series.value}" if labels else f"{name} {series.value}"
        return
    before = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
    cumulated = tuple(accumulate(series.distribution.counts))
    for edge, count in zip(_EDGES, cumulated, strict=True):
        yield f'{before}le="{edge}"}} {count}'
    after = f"{{{labels}}}" if labels else ""
    yield f"{name}_sum{after} {series.distribution.seconds:.6g}"
    yield f"{name}_count{after} {cumulated[-1]}"


def label_text(labels: Labels) -> str:
    """Labels as they stand between the braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
