"""Rollouts: which version of what has which share, and canaries beside what they are compared with."""

from collections.abc import Iterator

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import badge, tone_of
from marchproxy.manager.ui.components.controls import heading
from marchproxy.manager.ui.components.icons import shape
from marchproxy.manager.ui.components.markup import address, joined, tag
from marchproxy.manager.ui.components.shares import shares
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.table import Column, Row, table
from marchproxy.manager.ui.components.words import ago
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.shell import page_head
from marchproxy.manager.ui.versions import Versions, versions_of
from marchproxy.manager.watching import LiveView, RolloutView

_COLUMNS = (
    Column("What"),
    Column("Versions", "wide"),
    Column("Now", "wide"),
    Column("Rollout"),
    Column("Said", "wide"),
)


async def build(frame: Frame) -> None:
    """Everything that has more than one version."""
    page_head("Rollouts", lead="Routes whose pools, and listeners whose modules, have more than one version.")
    with Element("section").classes("panel"):
        frame.live(lambda view: _all(frame, view))
    with Element("section").classes("panel").style("margin-top:16px"):
        with Element("header"):
            heading("Rollouts under way and ended")
        frame.live(_rollouts)


def _all(frame: Frame, view: LiveView) -> Markup:
    found = list(_several(frame, view))
    if not found:
        text = "Give a route a second pool of another version, with weight 0 to begin with, and it is here: weights, canaries and all."
        return empty("Nothing has two versions", text, picture="rollouts")
    return table(_COLUMNS, found, label="What has several versions")


def _several(frame: Frame, view: LiveView) -> Iterator[Row]:
    for one in versions_of(frame.desk.revisions.current.document, view):
        if len(one.shares) > 1:
            yield _row(one)


def _row(one: Versions) -> Row:
    name = tag(
        "span",
        tag("a", one.name, href=address("rollouts", one.on, one.name), class_="name"),
        tag("span", one.on, class_="sub"),
    )
    seen = one.rollout
    state = (
        joined(badge(seen.phase), tag("span", f" {seen.version} at {seen.percent} %", class_="small"))
        if seen
        else tag("span", "none", class_="quiet")
    )
    said = tag("span", seen.reason, class_="small") if seen else None
    return Row(
        f"{one.on}-{one.name}", (name, ", ".join(one.shares), shares(list(one.shares.items())), state, said)
    )


def _rollouts(view: LiveView) -> Markup:
    if not view.rollouts:
        text = "Open a route above to give one of its versions more, in steps that are watched."
        return empty("No canary has run yet", text, picture="rollouts")
    lines = [_line(one) for one in view.rollouts]
    return tag("ul", lines, class_="trail")


def _line(one: RolloutView) -> Markup:
    target = one.target or "every route"
    by = f" · started by {one.started_by}" if one.started_by else ""
    words = joined(
        tag("a", target, href=address("rollouts", one.on, one.target)) if one.target else target, f": {one.version} ",
        badge(one.phase), tag("span", f"{one.reason}{by}", class_="sub", style="display:block"),
    )  # fmt: skip
    tone = tone_of(one.phase).value
    return tag("li", shape(tone), tag("span", words), ago(one.updated_at), class_=tone)
