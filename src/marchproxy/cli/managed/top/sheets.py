"""Sheets: what a manager last saw of the running system (`LiveView` of its API) as tables. Pure."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from marchproxy.cli.managed.rollouts import phase_text, target_of
from marchproxy.cli.screen import Sheet, columns, health_text
from marchproxy.kit.words import count, milliseconds, percent, size

_RATES = ("#req/s", "#errors", "#p99")


def instances(view: Mapping[str, Any]) -> Sheet:
    """The instances of modules."""
    rows = [
        (
            part["id"],
            part["kind"],
            part["version"],
            _state(part),
            str(part["connections"]),
            *rates(part["stats"]),
            f"{part['cpu']:.0f} %",
            f"{part['memory']:.0f}M",
        )
        for part in view["parts"]
    ]
    heads = columns("instance", "kind", "version", "state", "#open", *_RATES, "#cpu", "#mem")
    return Sheet("Instances", heads, rows, "no module has registered")


def listeners(view: Mapping[str, Any]) -> Sheet:
    """Listeners, over all NLBs."""
    rows = [
        (
            one["name"],
            one["address"],
            one["protocol"],
            one["plane"],
            str(one["connections"]),
            count(one["accepted"]),
            _bad(count(one["failed"] + one["denied"]), one["failed"] + one["denied"]),
            size(one["received"]),
            size(one["sent"]),
        )
        for one in view["listeners"]
    ]
    heads = columns("listener", "address", "for", "plane", "#open", "#new/s", "#bad/s", "#in/s", "#out/s")
    return Sheet("Listeners", heads, rows, "there is none")


def routes(view: Mapping[str, Any]) -> Sheet:
    """The routes that are asked for, the busiest first."""
    busiest = sorted(view["routes"].items(), key=lambda item: (-item[1]["requests"], item[0]))
    rows = [(name, *rates(one), milliseconds(one["p50_ms"])) for name, one in busiest]
    return Sheet("Routes", columns("route", *_RATES, "#p50"), rows, "none is asked for at present")


def pools(view: Mapping[str, Any]) -> Sheet:
    """Backend pools, over all instances."""
    rows = [
        (one["name"], one["version"], _endpoints(one), *rates(one["stats"]), one["trouble"])
        for one in view["pools"].values()
    ]
    heads = columns("pool", "version", "healthy", *_RATES, "trouble")
    return Sheet("Pools", heads, rows, "there is none")


def rollouts(view: Mapping[str, Any]) -> Sheet:
    """Canaries under way, and the last one of each target."""
    rows = [(target_of(one), one["version"], phase_text(one), one["reason"]) for one in view["rollouts"]]
    return Sheet(
        "Canaries", columns("of", "version", "stands", "why"), rows, "no version was promoted in steps"
    )


def scaling(view: Mapping[str, Any]) -> Sheet:
    """What autoscalers decided, the newest first."""
    rows = [
        (
            one["at"][11:19],
            one["module_type"],
            f"{one['current']} → {one['wanted']}" if one["way"] != "hold" else str(one["current"]),
            one["reason"],
            one["outcome"],
        )
        for one in view["scaling"]
    ]
    heads = columns("at (UTC)", "module", "instances", "why", "what came of it")
    return Sheet("Scaling", heads, rows, "nothing is scaled")


def rates(stats: Mapping[str, Any]) -> tuple[str | Text, ...]:
    """Requests per second, how many of them fail, and how long they take."""
    requests, errors = stats["requests"], stats["errors"]
    share = min(1.0, errors / requests) if requests > 0 else 0.0
    return (count(requests), _bad(percent(share), share), milliseconds(stats["p99_ms"]))


def _state(part: Mapping[str, Any]) -> Text:
    text = health_text(part["health"] or "unknown")
    if part["draining"]:
        text.append(", draining", "yellow")
    if not part["is_current"]:
        text.append(", behind", "yellow")
    if part["silent"]:
        text.append(", silent", "red")
    return text


def _endpoints(pool: Mapping[str, Any]) -> Text:
    sound = sum(one["health"] in {None, "healthy", "degraded"} for one in pool["endpoints"])
    whole = len(pool["endpoints"])
    return Text(f"{sound} of {whole}", style="green" if whole and sound == whole else "red")


def _bad(text: str, value: float) -> Text:
    return Text(text, style="red" if value else "")
