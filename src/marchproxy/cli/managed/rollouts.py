"""Rollouts as tables, from what the API tells of them. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from marchproxy.cli.screen import Sheet, columns
from marchproxy.kit.words import milliseconds

_COLOURS = {
    "advanced": "green",
    "promoted": "green",
    "held": "yellow",
    "ramping": "yellow",
    "rolled_back": "red",
}
RAMPING = "ramping"


def phase_text(rollout: Mapping[str, Any]) -> Text:
    """Where it stands, in its colour."""
    phase = rollout["phase"]
    words = f"{phase.replace('_', ' ')} at {rollout['percent']} %"
    return Text(words, style=_COLOURS.get(phase, ""))


def target_of(rollout: Mapping[str, Any]) -> str:
    """What it is on."""
    return f"{rollout['on']} {rollout['target'] or '*'}"


def rollouts(found: Sequence[Mapping[str, Any]]) -> Sheet:
    """Each rollout with its decisions, the newest first."""
    rows = [row for rollout in found for row in _rows(rollout)]
    heads = columns("of", "version", "stands", "at (UTC)", "share", "canary", "beside it", "why")
    return Sheet("Canaries", heads, rows, "no version was promoted in steps")


def decisions(rollout: Mapping[str, Any], told: int) -> Iterator[Text]:
    """The decisions that come after the first `told`, as lines."""
    for decision in rollout["decisions"][told:]:
        line = Text.assemble(
            f"{_time(decision['at'])}  {_share(decision):<10}  ",
            (decision["reason"], _COLOURS.get(decision["verdict"], "")),
        )
        line.append(
            f"  (canary {_sample(decision['canary'])}; beside it {_sample(decision['baseline'])})", "dim"
        )
        yield line


def chosen(
    found: Iterable[Mapping[str, Any]], *, on: str, target: str, version: str = ""
) -> Mapping[str, Any] | None:
    """The newest one of a target, of that version if one is given; one on everything is on it, too."""
    return next(
        (
            one
            for one in found
            if one["on"] == on and one["target"] in {"", target} and version in {"", one["version"]}
        ),
        None,
    )


def _rows(rollout: Mapping[str, Any]) -> Iterator[tuple[str | Text, ...]]:
    target, version = target_of(rollout), rollout["version"]
    stands: str | Text = phase_text(rollout)
    if not rollout["decisions"]:
        yield (target, version, stands, "", "", "", "", rollout["reason"])
    for decision in reversed(rollout["decisions"]):
        yield (
            target,
            version,
            stands,
            _time(decision["at"]),
            _share(decision),
            _sample(decision["canary"]),
            _sample(decision["baseline"]),
            Text(decision["reason"], style=_COLOURS.get(decision["verdict"], "")),
        )
        target = version = stands = ""


def _share(decision: Mapping[str, Any]) -> str:
    before, after = decision["percent_before"], decision["percent_after"]
    return f"{after} %" if before == after else f"{before} → {after} %"


def _sample(sample: Mapping[str, Any]) -> str:
    if not sample["requests"]:
        return "no requests"
    latency = f", p99 {milliseconds(sample['p99_ms'])}" if sample["p99_ms"] else ""
    return f"{sample['errors']:.0f} of {sample['requests']:.0f} failed{latency}"


def _time(at: str) -> str:
    return f"{datetime.fromisoformat(at):%H:%M:%S}"
