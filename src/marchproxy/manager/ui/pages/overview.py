"""Overview: is all well, what is served, and how it flows."""

import time
from collections.abc import Sequence

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import Tone
from marchproxy.manager.ui.components.chart import Chart, Line
from marchproxy.manager.ui.components.controls import Button, heading
from marchproxy.manager.ui.components.figure import figure, figures, sparkline
from marchproxy.manager.ui.components.icons import shape
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.words import ago, count, milliseconds, percent, plural
from marchproxy.manager.ui.concerns import MOST, concerns
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.shell import page_head
from marchproxy.manager.ui.topology import drawing, picture
from marchproxy.manager.watching import LiveView
from marchproxy.model.module import HealthStatus
from marchproxy.model.record import Event
from marchproxy.store import StoreUnavailable

_SPANS = {"5 min": 300.0, "1 h": 3600.0, "24 h": 86_400.0}
_POINTS = 150
_SPARK = 300.0
_TONES = {"info": Tone.NONE, "warning": Tone.WARN, "error": Tone.BAD}


async def build(frame: Frame) -> None:
    """The page."""
    spans = page_head("Overview")
    with Element("div").classes("stack"):
        frame.live(lambda view: _figures(frame, view))
        _charts(frame, spans)
        with Element("section").classes("panel"):
            with Element("header"):
                heading("What flows where")
            frame.live(_topology)
        with Element("div").classes("grid-2"):
            with Element("section").classes("panel"):
                with Element("header"):
                    heading("To look at")
                frame.live(_concerns)
            with Element("section").classes("panel"):
                with Element("header"):
                    heading("What happened")
                    ui.html(
                        tag("a", "All activity", href="/activity", class_="small"), sanitize=False
                    ).classes("end")
                await frame.looked_up(lambda: _events(frame))


def _figures(frame: Frame, view: LiveView) -> Markup:
    well = sum(part.health is HealthStatus.HEALTHY for part in view.parts)
    now = time.time()
    past = frame.desk.live.series(("total/requests", "total/p99_ms", "total/errors"), now - _SPARK, now, 6.0)

    def line(name: str, label: str) -> Markup | None:
        values = past.values.get(name, ())
        return (
            sparkline(values, label=f"{label} over five minutes")
            if any(value is not None for value in values)
            else None
        )

    share = view.total.error_share
    return figures(
        figure("Requests", count(view.total.requests), unit="/s", line=line("total/requests", "Requests")),
        figure("Errors", percent(share), bad=share >= 0.01, line=line("total/errors", "Errors")),
        figure("Latency, p99", milliseconds(view.total.p99_ms), note=f"p50 {milliseconds(view.total.p50_ms)}",
               line=line("total/p99_ms", "Latency")),
        figure("Open connections", count(view.connections), note=plural(len(view.listeners), "listener")),
        figure("Instances", str(well), unit=f"of {len(view.parts)} healthy", note=_kinds(view), bad=well < len(view.parts)),
    )  # fmt: skip


def _kinds(view: LiveView) -> str:
    kinds = sorted({part.kind.value.upper() for part in view.parts})
    return ", ".join(kinds)


def _charts(frame: Frame, spans: Element) -> None:
    shown = {"span": "5 min"}
    charts = []
    with Element("div").classes("grid-3"):
        for title, lines, unit in _CHARTS:
            with Element("section").classes("panel"):
                with Element("header"):
                    heading(title)
                with Element("div").classes("inside"):
                    charts.append(Chart(lines, label=f"{title}, over time", unit=unit))

    def draw(_: LiveView) -> None:
        now, length = time.time(), _SPANS[shown["span"]]
        names = [line.figure for chart in charts for line in chart.lines]
        past = frame.desk.live.series(names, now - length, now, length / _POINTS)
        for chart in charts:
            chart.show(past)

    def choose(name: str) -> None:
        shown["span"] = name
        for button, other in buttons:
            button.props["aria-pressed"] = str(other == name).lower()
            button.update()
        draw(frame.desk.live.view)

    with spans:
        buttons = [(Button(name, lambda name=name: choose(name), kind="slim plain"), name) for name in _SPANS]  # type: ignore[misc]
    choose("5 min")
    frame.on_beat(draw)


_CHARTS: tuple[tuple[str, Sequence[Line], str], ...] = (
    ("Requests per second", (Line("total/requests", "requests"),), "/s"),
    ("Latency", (Line("total/p99_ms", "p99", 2), Line("total/p50_ms", "p50", 1)), " ms"),
    ("Errors per second", (Line("total/errors", "errors", 4),), "/s"),
)


def _topology(view: LiveView) -> Markup:
    seen = picture(view)
    if not seen.nodes:
        words = "Listeners, the modules behind them and the pools behind those are drawn here once an NLB has answered."
        return empty("Nothing to draw yet", words, picture="routes")
    return tag("div", drawing(seen), class_="inside")


def _concerns(view: LiveView) -> Markup:
    found = concerns(view)
    if view.at is None and not found:
        return empty(
            "Nothing is known yet",
            "What is not well is listed here once an NLB has answered.",
            picture="modules",
        )
    if not found:
        return empty(
            "All is well", "Every part answers, runs the revision in force, and is healthy.", picture="done"
        )
    rows = [
        tag(
            "li",
            shape(one.tone.value),
            tag("span", tag("a", one.subject, href=one.href), " ", one.words),
            class_=one.tone.value,
        )
        for one in found[:MOST]
    ]
    more = (
        tag("li", tag("span"), tag("span", f"and {len(found) - MOST} more", class_="quiet"))
        if len(found) > MOST
        else None
    )
    return tag("ul", rows, more, class_="trail")


async def _events(frame: Frame) -> Markup:
    try:
        found = await frame.desk.store.events(limit=8)
    except StoreUnavailable as error:
        return empty("The record cannot be read", str(error), picture="stop")
    if not found:
        return empty(
            "Nothing has happened yet",
            "Instances that come and go, rollouts and decisions are noted here.",
            picture="activity",
        )
    return tag("ul", [event_line(event) for event in found], class_="trail")


def event_line(event: Event) -> Markup:
    """An event in a list of them."""
    tone = _TONES[event.severity].value
    words = joined(tag("b", event.subject), " ", event.message)
    return tag("li", shape(tone), tag("span", words), ago(event.at), class_=tone)
