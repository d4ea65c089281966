"""Rollouts in words, from what the API tells of them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from marchproxy.cli import standing as looks
from marchproxy.cli.standing import style_of
from marchproxy.kit.words import milliseconds

RAMPING = "ramping"
_BAR = 20


def phase_text(rollout: Mapping[str, Any]) -> Text:
    """Where it stands, in its colour."""
    return looks.phase_text(rollout["phase"], rollout["percent"])


def target_of(rollout: Mapping[str, Any]) -> str:
    """What it is on."""
    return f"{rollout['on']} {rollout['target'] or '*'}"


def standing(rollout: Mapping[str, Any]) -> Text:
    """Where it is on its way, as one line."""
    done = round(_BAR * rollout["percent"] / 100)
    bar = Text("█" * done + "░" * (_BAR - done), style=style_of(rollout["phase"]))
    return Text.assemble(f"{target_of(rollout)}: {rollout['version']}  ", bar, "  ", phase_text(rollout))


def told(rollout: Mapping[str, Any], *, most: int | None = None) -> Text:
    """Where it is, and why: its decisions, or the last so many of them."""
    lines = list(decisions(rollout, 0))
    shown = lines if most is None else lines[max(0, len(lines) - most) :]
    rest = shown or [Text(f"  {rollout['reason']}")]
    return Text("\n").join([standing(rollout), *rest])


def decisions(rollout: Mapping[str, Any], told: int) -> Iterator[Text]:
    """The decisions that come after the first `told`, as lines."""
    for decision in rollout["decisions"][told:]:
        yield Text.assemble(
            f"  {_time(decision['at'])}  {_share(decision):<10}  ",
            (decision["reason"], style_of(decision["verdict"])),
            (f"\n            canary {_sample(decision['canary'])}", "dim"),
            (f"\n            others {_sample(decision['baseline'])}", "dim"),
        )


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
