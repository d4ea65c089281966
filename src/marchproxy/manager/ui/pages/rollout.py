"""One rollout: the share of each version to be set by hand, or in watched steps, with the canary beside its baseline."""

import time

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.manager.operating import Pace, Target
from marchproxy.manager.ui.components.badge import badge, tone_of
from marchproxy.manager.ui.components.chart import Chart, Line
from marchproxy.manager.ui.components.confirm import confirmed
from marchproxy.manager.ui.components.controls import Button, Field, heading
from marchproxy.manager.ui.components.icons import shape
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.shares import shares
from marchproxy.manager.ui.components.states import empty, refusal
from marchproxy.manager.ui.components.table import Column, Row, table
from marchproxy.manager.ui.components.words import ago, count, milliseconds, percent
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.manager.ui.pace import read_pace
from marchproxy.manager.ui.shell import page_head
from marchproxy.manager.ui.versions import Versions, versions_of
from marchproxy.manager.watching import DecisionView, LiveView, Rates
from marchproxy.model.identity import Role

_SPAN = 600.0
_COMPARED = (Column("Version"), Column("Share", "number"), Column("Requests", "number"), Column("Errors", "number"),
             Column("p50", "number"), Column("p99", "number"))  # fmt: skip


async def build(frame: Frame) -> None:
    """The page of a route or a listener."""
    target = Target(frame.path["on"], frame.path["name"])
    page_head(target.name, crumb=tag("a", "Rollouts", href="/rollouts"))
    found = _find(frame, frame.desk.live.view, target)
    if found is None or len(found.shares) < 2:
        with Element("section").classes("panel"):
            frame.live(
                lambda _: empty(
                    "It has one version", "A rollout is from one version to another.", picture="rollouts"
                )
            )
        return
    with Element("div").classes("two-thirds"):
        with Element("div").classes("stack"):
            with Element("section").classes("panel"):
                with Element("header"):
                    heading("Side by side")
                frame.live(lambda view: _compared(_find(frame, view, target), view))
            if target.on == "route":
                _charts(frame, found)
            with Element("section").classes("panel"):
                with Element("header"):
                    heading("Decisions")
                frame.live(lambda view: _decisions(_find(frame, view, target)))
        with Element("div").classes("stack"):
            _controls(frame, target, found)


def _find(frame: Frame, view: LiveView, target: Target) -> Versions | None:
    every = versions_of(frame.desk.revisions.current.document, view)
    return next((one for one in every if one.on == target.on and one.name == target.name), None)


def _compared(one: Versions | None, view: LiveView) -> Markup:
    if one is None:
        return empty("It is gone", "The revision in force does not have it any more.", picture="search")
    state = None
    if one.rollout is not None:
        words = joined(
            badge(one.rollout.phase),
            f" {one.rollout.version} at {one.rollout.percent} %. {one.rollout.reason}",
        )
        state = tag("p", words, style="margin-top:12px")
    rows = [
        Row(version, (version, f"{share} %", *_figures(_seen(one, version, view))))
        for version, share in one.shares.items()
    ]
    return joined(
        tag("div", shares(list(one.shares.items())), state, class_="inside"),
        table(_COMPARED, rows, label="Versions side by side"),
    )


def _figures(stats: Rates) -> tuple[str, ...]:
    return (
        f"{count(stats.requests)}/s", percent(stats.error_share) if stats.requests else "–",
        milliseconds(stats.p50_ms), milliseconds(stats.p99_ms),
    )  # fmt: skip


def _seen(one: Versions, version: str, view: LiveView) -> Rates:
    """What a version serves: its pools, or its instances, together."""
    if one.on == "route":
        found = [view.pools[name].stats for name in one.pools.get(version, ()) if name in view.pools]
    else:
        listener = next((seen for seen in view.listeners if seen.name == one.name), None)
        kind = listener.module_type if listener else ""
        found = [part.stats for part in view.parts if part.version == version and part.kind.value == kind]
    return Rates(
        requests=sum(stats.requests for stats in found),
        errors=sum(stats.errors for stats in found),
        p50_ms=max((stats.p50_ms for stats in found), default=0.0),
        p99_ms=max((stats.p99_ms for stats in found), default=0.0),
    )


def _charts(frame: Frame, one: Versions) -> None:
    charts = []
    with Element("div").classes("grid-2"):
        for title, figure, unit in (
            ("Requests per second", "requests", "/s"),
            ("Latency, p99", "p99_ms", " ms"),
        ):
            lines = [
                Line(f"pools/{names[0]}/{figure}", version, 1 + index % 4)
                for index, (version, names) in enumerate(one.pools.items())
            ]
            with Element("section").classes("panel"):
                with Element("header"):
                    heading(title)
                with Element("div").classes("inside"):
                    charts.append(Chart(lines, label=f"{title} of each version", unit=unit))

    def draw(_: LiveView) -> None:
        now = time.time()
        past = frame.desk.live.series(
            [line.figure for chart in charts for line in chart.lines], now - _SPAN, now, 6.0
        )
        for chart in charts:
            chart.show(past)

    draw(frame.desk.live.view)
    frame.on_beat(draw)


def _decisions(one: Versions | None) -> Markup:
    found = one.rollout.decisions if one is not None and one.rollout is not None else ()
    if not found:
        return empty(
            "No decision yet",
            "Each step of a canary is judged, and why it went on or back is kept here.",
            picture="rollouts",
        )
    return tag(
        "ol",
        [_decision(decision) for decision in sorted(found, key=lambda one: one.at, reverse=True)],
        class_="trail",
    )


def _decision(one: DecisionView) -> Markup:
    tone = tone_of(one.verdict).value
    numbers = f"canary {count(one.canary.requests)} requests, {count(one.canary.errors)} failed; baseline {count(one.baseline.requests)}, {count(one.baseline.errors)} failed"
    words = joined(tag("b", f"{one.percent_before} → {one.percent_after} %, {one.verdict.replace('_', ' ')}. "), one.reason,
                   tag("span", numbers, class_="sub", style="display:block"))  # fmt: skip
    return tag("li", shape(tone), tag("span", words), ago(one.at), class_=tone)


def _controls(frame: Frame, target: Target, found: Versions) -> None:
    lacking = frame.visit.lacks(Role.OPERATOR)
    names = {version: version for version in found.shares}
    chosen = min(found.shares, key=found.shares.__getitem__)
    if found.rollout is not None and found.rollout.phase == "ramping" and found.rollout.version in names:
        chosen = found.rollout.version
    with Element("section").classes("panel"):
        with Element("header"):
            heading("Give it more")
        with Element("div").classes("inside stack"):
            version = Field("Version", chosen, choices=names)
            _promotion(frame, target, version, lacking)
    with Element("section").classes("panel"):
        with Element("header"):
            heading("Set the share")
        with Element("div").classes("inside stack"):
            _weight(frame, target, version, found, lacking)


def _promotion(frame: Frame, target: Target, version: Field, lacking: str) -> None:
    steps = Field("Steps, in percent", "5, 25, 50, 100", hint="Empty: everything at once.")
    with Element("div").classes("grid-2"):
        interval = Field("Seconds for each", "60", kind="number")
        fewest = Field("Requests at least", "20", kind="number")
        errors = Field("Errors at most, %", "5", kind="number")
        factor = Field("p99, times baseline", "0", kind="number", hint="0: any.")
    operations = frame.desk.operations

    async def promote() -> None:
        pace = read_pace(steps.value, interval.value, fewest.value, errors.value, factor.value)
        if isinstance(pace, tuple):
            assert frame.notice is not None
            frame.notice.show(refusal("The steps cannot be read", pace))
            return
        chosen = version.value
        if await confirmed(f"Promote {chosen}?", _promised(target, chosen, pace), verb="Promote"):
            act = _act("promote" if pace.at_once else "start", target, f"{chosen} is being promoted.")
            await frame.perform(act, lambda by: operations.promote(target, chosen, pace, by=by))

    async def back() -> None:
        text = tag(
            "p", f"The rollout on {target} ends, and the shares are again what the revision in force says."
        )
        if await confirmed("Roll back?", text, verb="Roll back", danger=True):
            act = _act("rollback", target, "It is rolled back.")
            await frame.perform(act, lambda by: operations.rollback(target, by=by))

    with Element("div").classes("row"):
        Button("Promote", promote, kind="primary", lacking=lacking)
        Button("Roll back", back, kind="danger", lacking=lacking)


def _promised(target: Target, version: str, pace: Pace) -> Markup:
    if pace.at_once:
        return tag("p", f"{version} gets all of {target} at once. This makes a revision.")
    way = ", ".join(f"{step} %" for step in pace.steps)
    limits = pace.limits
    words = (
        f"{version} gets {way} of {target}, each for {limits.interval:g} s and {limits.min_requests} requests at least. "
        f"It goes back by itself when more than {limits.max_error_percent:g} % fail, or when it is worse than what runs beside it."
    )
    return joined(tag("p", words), tag("p", "When it has everything, a revision says so."))


def _weight(frame: Frame, target: Target, version: Field, found: Versions, lacking: str) -> None:
    shown = {"percent": found.shares.get(version.value, 0)}
    field = Field("Percent", str(shown["percent"]), kind="range")
    field.element.props.update({"min": 0, "max": 100, "step": 1})

    def words(_: LiveView) -> Markup:
        now = _find(frame, frame.desk.live.view, target)
        has = now.shares.get(version.value, 0) if now else 0
        return tag("p", f"{version.value} has {has} % now, and would have {field.value} %.")

    part = frame.live(words)
    field.element.on("input", lambda _: part.show(words(frame.desk.live.view)), js_handler="() => emit()")

    async def put() -> None:
        chosen, share = version.value, int(field.value)
        act = _act("weights", target, f"{chosen} has {share} % of {target.name}.")
        await frame.perform(act, lambda by: frame.desk.operations.set_weight(target, chosen, share, by=by))

    Button("Set", put, lacking=lacking)


def _act(verb: str, target: Target, done: str) -> Act:
    return Act(f"rollouts.{verb}", f"{target.on}s/{target.name}", Role.OPERATOR, "live:operate", done)
