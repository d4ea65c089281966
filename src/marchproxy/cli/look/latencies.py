"""Latencies of routes and pools over all instances, as cells of a table. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from marchproxy.contract.pb import types_pb2

#: The columns that `cells` fills.
HEADS = ("#requests", "#failed", "#p50 ms", "#p99 ms", "p50 to p99")
_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Measured:
    """What instances counted of one route or pool. Latencies in milliseconds, of the slowest of them."""

    requests: int = 0
    failed: int = 0
    p50: float = 0.0
    p99: float = 0.0


def measured(stats: Iterable[types_pb2.ModuleStats]) -> Measured:
    """Counts added up; percentiles cannot be, so the highest counts."""
    found = [one for one in stats if one.total_requests]
    return Measured(
        sum(one.total_requests for one in found),
        sum(one.failed_requests for one in found),
        max((one.p50_latency_ms for one in found), default=0.0),
        max((one.p99_latency_ms for one in found), default=0.0),
    )


def slowest(all_measured: Iterable[Measured]) -> float:
    """The highest p99 of a table, in milliseconds: what the bars are drawn to."""
    return max((one.p99 for one in all_measured), default=0.0)


def cells(one: Measured, scale: float) -> Sequence[str | Text]:
    """The cells under HEADS; `scale` as `slowest` gives it."""
    if not one.requests:
        return ("0", "0", "-", "-", "")
    failed = Text(str(one.failed), style="red" if one.failed else "")
    return (str(one.requests), failed, f"{one.p50:.2f}", f"{one.p99:.2f}", bar(one, scale))


def bar(one: Measured, scale: float) -> Text:
    """The median solid, from there to p99 light."""
    if scale <= 0:
        return Text("")
    end = max(1, round(_WIDTH * one.p99 / scale))
    solid = min(end, round(_WIDTH * one.p50 / scale))
    return Text("█" * solid + "░" * (end - solid), style="cyan")


def by_name(
    answers: Mapping[str, Mapping[str, types_pb2.ModuleStats]],
) -> Mapping[str, Measured]:
    """Each route or pool of all instances together; `answers` by instance."""
    names = {name for found in answers.values() for name in found}
    return {name: measured(found[name] for found in answers.values() if name in found) for name in names}
