"""Scaling: how many instances there are and should be, the decisions on a time line, and the rules."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.controls import Button, Field, heading
from marchproxy.manager.ui.components.icons import shape
from marchproxy.manager.ui.components.markup import Child, joined, tag
from marchproxy.manager.ui.components.states import empty, refusal
from marchproxy.manager.ui.components.table import Column
from marchproxy.manager.ui.components.words import ago, plural
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.manager.ui.pages.section import Listing, build_item, build_list
from marchproxy.manager.watching import LiveView, ScalingView
from marchproxy.model.changes import Item
from marchproxy.model.identity import Role

_SPAN = timedelta(hours=2)
_WIDTH, _HEIGHT = 800, 56
_TONES = {"up": Tone.BUSY, "down": Tone.OK, "hold": Tone.NONE}
_MOST = 60


async def build(frame: Frame) -> None:
    """The page."""
    await build_list(frame, LISTING)
    with Element("div").classes("two-thirds").style("margin-top:16px"):
        with Element("section").classes("panel"):
            with Element("header"):
                heading("The last two hours")
            frame.live(lambda view: _lanes(view.scaling, frame.desk.clock.now()))
            frame.live(lambda view: _decisions(view.scaling))
        with Element("section").classes("panel"):
            with Element("header"):
                heading("By hand")
            with Element("div").classes("inside stack"):
                _by_hand(frame)


async def build_one(frame: Frame) -> None:
    """The rules of one module type."""
    await build_item(frame, LISTING)


def _cells(view: LiveView, item: Item) -> Sequence[Child]:
    kind = str(item["module"])
    running = sum(part.kind.value == kind for part in view.parts)
    last = next((one for one in view.scaling if one.module_type == kind), None)
    bounds = f"{item.get('min_instances', 1)} to {item.get('max_instances', 1)}"
    state = badge("enabled", Tone.OK) if item.get("enabled", True) else badge("off")
    return (
        state,
        bounds,
        str(running),
        _targets(item),
        tag("span", last.reason, class_="small") if last else "–",
    )


def _targets(item: Item) -> str:
    words = {"target_cpu_percent": "{} % CPU", "target_memory_percent": "{} % memory", "target_connections": "{:,} connections",
             "target_latency_ms": "{} ms"}  # fmt: skip
    return ", ".join(text.format(item[name]) for name, text in words.items() if item.get(name)) or "none"


def _lanes(decisions: Sequence[ScalingView], now: datetime) -> Markup:
    kinds = sorted({one.module_type for one in decisions})
    return joined(
        *[_lane(kind, [one for one in decisions if one.module_type == kind], now) for kind in kinds]
    )


def _lane(kind: str, decisions: Sequence[ScalingView], now: datetime) -> Markup:
    """The number of instances as a staircase, with a mark where somebody decided."""
    ordered = sorted((one for one in decisions if now - one.at < _SPAN), key=lambda one: one.at)
    if not ordered:
        return tag(
            "div", tag("b", kind.upper()), tag("span", "nothing in this time", class_="quiet"), class_="lane"
        )
    most = max(max(one.current, one.wanted) for one in ordered) + 1

    def x(at: datetime) -> float:
        return round((1 - (now - at) / _SPAN) * _WIDTH, 1)

    def y(many: int) -> float:
        return round(_HEIGHT - 4 - many / most * (_HEIGHT - 10), 1)

    points = [f"0,{y(ordered[0].current)}"]
    for one in ordered:
        points += [f"{x(one.at)},{y(one.current)}", f"{x(one.at)},{y(one.wanted)}"]
    points.append(f"{_WIDTH},{y(ordered[-1].wanted)}")
    stairs = tag(
        "polyline",
        points=" ".join(points),
        fill="none",
        stroke="var(--series-1)",
        stroke_width=2,
        vector_effect="non-scaling-stroke",
    )
    marks = [
        tag("circle", cx=x(one.at), cy=y(one.wanted), r=3.5, fill="var(--series-2)" if one.manual else "var(--series-1)")
        for one in ordered if one.way != "hold"
    ]  # fmt: skip
    label = f"{kind.upper()}: {plural(ordered[-1].wanted, 'instance')} wanted now"
    svg = tag(
        "svg",
        stairs,
        marks,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )
    words = tag(
        "span",
        tag("b", kind.upper()),
        tag("span", f"{ordered[-1].wanted} wanted", class_="sub quiet small", style="display:block"),
    )
    return tag("div", words, svg, class_="lane")


def _decisions(decisions: Sequence[ScalingView]) -> Markup:
    if not decisions:
        text = "The autoscaler decides every 30 seconds for each module type that has a rule; each change is here with its reason."
        return empty("No decision yet", text, picture="scaling")
    return tag("ol", [_decision(one) for one in decisions[:_MOST]], class_="trail")


def _decision(one: ScalingView) -> Markup:
    tone = _TONES.get(one.way, Tone.NONE).value
    moved = f"{one.current} → {one.wanted}" if one.current != one.wanted else f"stays at {one.current}"
    by = " by hand" if one.manual else ""
    words = joined(tag("b", f"{one.module_type.upper()} {moved}{by}. "), one.reason,
                   tag("span", one.outcome, class_="sub", style="display:block") if one.outcome else None)  # fmt: skip
    return tag("li", shape(tone), tag("span", words), ago(one.at), class_=tone)


def _by_hand(frame: Frame) -> None:
    kinds = sorted({part.kind.value for part in frame.desk.live.view.parts}) or ["alb"]
    kind = Field("Module type", kinds[0], choices={name: name.upper() for name in kinds})
    many = Field("Instances", "", kind="number", hint="Within the bounds of its rule.")

    async def scale() -> None:
        assert frame.notice is not None
        if not many.value.isdigit():
            frame.notice.show(refusal("How many?", ["Write a whole number of instances."]))
            return
        chosen, number = kind.value, int(many.value)
        act = Act(
            "modules.scale",
            f"modules/{chosen}",
            Role.OPERATOR,
            "live:operate",
            f"{plural(number, 'instance')} of {chosen.upper()} asked for.",
        )
        await frame.perform(act, lambda by: frame.desk.operations.scale(chosen, number, by=by))

    Button("Scale", scale, lacking=frame.visit.lacks(Role.OPERATOR))


LISTING = Listing(
    section="scaling",
    title="Scaling",
    one="rule",
    lead="How many instances of a module type may run, and towards what.",
    address="/scaling",
    columns=(
        Column("State"),
        Column("Bounds", "number"),
        Column("Running", "number"),
        Column("Targets", "wide"),
        Column("Last decision", "wide"),
    ),
    cells=_cells,
)
