"""Modules: every instance with what it does, and the buttons that send it nothing new."""

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.confirm import confirmed
from marchproxy.manager.ui.components.controls import Field
from marchproxy.manager.ui.components.markup import act_button, address, tag
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.table import Column, Row, pager, table
from marchproxy.manager.ui.components.words import ago, count, milliseconds, percent, plural, rate
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.manager.ui.shell import page_head
from marchproxy.manager.watching import LiveView, NlbView, PartView
from marchproxy.model.identity import Role

PAGE = 50
_COLUMNS = (
    Column("Instance"), Column("State"), Column("Revision"), Column("Requests", "number"), Column("Errors", "number"),
    Column("p99", "number"), Column("Connections", "number"), Column("CPU", "number"), Column("Memory", "number"),
    Column("Seen"), Column("", "act"),
)  # fmt: skip
_NLB_COLUMNS = (
    Column("NLB"),
    Column("State"),
    Column("Revision"),
    Column("New", "number"),
    Column("Connections", "number"),
    Column("Seen"),
)


async def build(frame: Frame) -> None:
    """The page."""
    page_head("Modules", lead="Every instance that an NLB knows, as it was seen last.")
    words = {"q": frame.query.get("q", "")}
    first = frame.number("first")

    def seek(text: str) -> None:
        words["q"] = text
        frame.redraw()

    async def act(name: str, key: str) -> None:
        await drain_or_not(frame, name, key)

    with Element("div").classes("stack"):
        with Element("section").classes("panel"):
            frame.live(_nlbs)
        with Element("section").classes("panel"):
            with Element("div").classes("filters"):
                field = Field("Instances", words["q"], kind="search", changed=seek)
                field.element.props.update({"data-seek": "", "placeholder": "Name, type or version"})
            frame.live(lambda view: _instances(frame, view, words["q"], first), on_act=act)


async def drain_or_not(frame: Frame, name: str, key: str) -> None:
    """Carry out the button `drain` or `undrain` of an instance."""
    operations = frame.desk.operations
    if name == "undrain":
        act = Act(
            "instances.undrain",
            f"instances/{key}",
            Role.OPERATOR,
            "live:operate",
            f"{key} gets traffic again.",
        )
        await frame.perform(act, lambda by: operations.undrain(key, by=by))
        return
    part = frame.desk.live.view.part(key)
    left = plural(part.connections, "open connection") if part else "what is open"
    others = (
        sum(one.kind is part.kind and not one.draining for one in frame.desk.live.view.parts) - 1
        if part
        else 1
    )
    alone = "" if others > 0 else " It is the only one of its kind: new connections will have nowhere to go."
    text = f"New connections go to others, and {left} may go on until they end by themselves.{alone}"
    if await confirmed(f"Drain {key}?", tag("p", text), verb="Drain", danger=others <= 0):
        act = Act(
            "instances.drain", f"instances/{key}", Role.OPERATOR, "live:operate", f"{key} gets nothing new."
        )
        await frame.perform(act, lambda by: operations.drain(key, by=by, last=others <= 0))


def part_state(part: PartView) -> Markup:
    """How an instance is, in one word."""
    if part.draining:
        return badge("draining", Tone.BUSY)
    if part.silent:
        return badge("silent", Tone.WARN, title=part.silent)
    return badge(part.health.value if part.health else "unknown", title="; ".join(part.troubles) or None)


def runs(checksum: str, *, is_current: bool) -> Markup:
    """Whether it runs what is in force."""
    if not checksum:
        return tag("span", "not told", class_="quiet")
    return (
        badge("current", Tone.OK)
        if is_current
        else badge("behind", Tone.WARN, title=f"It runs {checksum[:12]}")
    )


def _instances(frame: Frame, view: LiveView, words: str, first: int) -> Markup:
    found = [part for part in view.parts if _matches(part, words)]
    if not view.parts:
        text = "An instance is here as soon as it has registered with an NLB: `marchproxy alb` starts one."
        return empty("No instances", text, picture="modules")
    if not found:
        return empty(
            "None is called that",
            f"No instance has “{words}” in its name, type or version.",
            picture="search",
        )
    shown = found[first : first + PAGE]
    rows = [_row(frame, part) for part in shown]
    return tag(
        "div",
        table(_COLUMNS, rows, label="Instances"),
        pager(first, len(shown), len(found), address=f"?q={words}&first="),
    )


def _matches(part: PartView, words: str) -> bool:
    text = f"{part.id} {part.kind.value} {part.version} {part.zone}".lower()
    return all(word in text for word in words.lower().split())


def _row(frame: Frame, part: PartView) -> Row:
    about = " · ".join(word for word in (part.kind.value.upper(), part.version, part.zone) if word)
    name = tag(
        "span",
        tag("a", part.id, href=address("modules", part.id), class_="name"),
        tag("span", about, class_="sub"),
    )
    lacking = frame.visit.lacks(Role.OPERATOR)
    button = act_button(
        "Undrain" if part.draining else "Drain",
        "undrain" if part.draining else "drain",
        part.id,
        lacking=lacking,
    )
    full = f"of {count(part.max_connections)}" if part.max_connections else None
    return Row(part.id, (
        name, part_state(part), runs(part.checksum, is_current=part.is_current), rate(part.stats.requests), percent(part.stats.error_share),
        milliseconds(part.stats.p99_ms), tag("span", count(part.connections), tag("span", full, class_="sub") if full else None),
        f"{part.cpu:.0f} %", f"{part.memory:.0f} MiB", ago(part.last_seen), button,
    ))  # fmt: skip


def _nlbs(view: LiveView) -> Markup:
    if not view.nlbs:
        return empty(
            "No NLB",
            "The section `manager` names none in `nlbs`; revisions are kept, and nobody is told.",
            picture="listeners",
        )
    return table(_NLB_COLUMNS, [_nlb_row(nlb) for nlb in view.nlbs], label="NLBs")


def _nlb_row(nlb: NlbView) -> Row:
    name = tag(
        "span",
        tag("span", nlb.id or nlb.address, class_="name"),
        tag("span", nlb.address, class_="sub") if nlb.id else None,
    )
    state = (
        badge("away", Tone.BAD, title=nlb.failure)
        if nlb.failure
        else badge(nlb.health.value if nlb.health else "unknown", title=nlb.message or None)
    )
    return Row(nlb.address, (
        name, state, runs(nlb.checksum, is_current=nlb.is_current), rate(nlb.accepted), count(nlb.connections),
        ago(nlb.last_seen),
    ))  # fmt: skip
