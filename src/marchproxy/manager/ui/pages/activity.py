"""Activity: what happened by itself, and what was done by whom."""

from collections.abc import Sequence

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import badge
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.states import empty, refusal
from marchproxy.manager.ui.components.table import Column, Row, table
from marchproxy.manager.ui.components.words import ago
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.pages.overview import event_line
from marchproxy.manager.ui.shell import page_head
from marchproxy.model.identity import Role
from marchproxy.model.record import AuditEntry, Event
from marchproxy.store import StoreUnavailable

PAGE = 50
_COLUMNS = (
    Column("Who"),
    Column("Did", "wide"),
    Column("With", "wide"),
    Column("Outcome", "wide"),
    Column("From"),
    Column("When"),
)
_KINDS = {
    "": "Everything",
    "instance": "Instances",
    "revision": "Revisions",
    "rollout": "Rollouts",
    "scaling": "Scaling",
}


async def build(frame: Frame) -> None:
    """The page, with events or with the audit."""
    page_head("Activity")
    audit = frame.query.get("show") == "audit"
    tabs = (("Events", "/activity", not audit), ("Audit", "/activity?show=audit", audit))
    shown = [tag("a", title, href=href, aria_current="page" if here else None) for title, href, here in tabs]
    ui.html(tag("nav", shown, class_="tabs", aria_label="Which record"), sanitize=False)
    with Element("section").classes("panel"):
        await frame.looked_up(lambda: _content(frame, audit=audit))


async def _content(frame: Frame, *, audit: bool) -> Markup:
    try:
        return await _audit(frame) if audit else await _events(frame)
    except StoreUnavailable as error:
        return refusal("The record cannot be read", [str(error)])


async def _events(frame: Frame) -> Markup:
    before, kind = frame.number("before") or None, frame.query.get("kind", "")
    found = await frame.desk.store.events(before=before, limit=PAGE + 1, kind=kind or None)
    form = _filter("kind", "Kind", kind, _KINDS)
    if not found:
        return joined(
            form,
            empty(
                "Nothing here",
                "Instances that come and go, rollouts, decisions and revisions are noted.",
                picture="activity",
            ),
        )
    lines = tag("ul", [event_line(event) for event in found[:PAGE]], class_="trail")
    return joined(form, lines, _older(found, f"/activity?kind={kind}", before))


async def _audit(frame: Frame) -> Markup:
    if why := frame.visit.lacks(Role.OPERATOR):
        return empty("The audit is not for everybody", why, picture="keys")
    before, who = frame.number("before") or None, frame.query.get("who", "")
    found = await frame.desk.store.audit(before=before, limit=PAGE + 1, who=who or None)
    field = tag(
        "input",
        class_="input",
        name="who",
        value=who,
        placeholder="Whose",
        aria_label="Whose",
        data_seek="",
        type="search",
    )
    form = tag("form", tag("input", type="hidden", name="show", value="audit"), field,
               tag("button", "Show", type="submit", class_="button slim"), class_="filters")  # fmt: skip
    if not found:
        return joined(
            form,
            empty(
                "Nothing here",
                "Every change, and every attempt that was not allowed, is on record.",
                picture="activity",
            ),
        )
    rows = [_row(entry) for entry in found[:PAGE]]
    return joined(
        form, table(_COLUMNS, rows, label="Audit"), _older(found, f"/activity?show=audit&who={who}", before)
    )


def _row(entry: AuditEntry) -> Row:
    who = tag("span", tag("span", entry.who, class_="name"), tag("span", entry.how, class_="sub"))
    outcome = tag(
        "span", badge(entry.outcome), tag("span", entry.detail, class_="sub") if entry.detail else None
    )
    return Row(str(entry.id), (
        who, tag("code", entry.action), entry.target, outcome, entry.address or "–", ago(entry.at),
    ))  # fmt: skip


def _filter(name: str, label: str, value: str, choices: dict[str, str]) -> Markup:
    options = [tag("option", words, value=key, selected=key == value) for key, words in choices.items()]
    field = tag("select", options, class_="input", name=name, aria_label=label)
    return tag("form", field, tag("button", "Show", type="submit", class_="button slim"), class_="filters")


def _older(found: Sequence[AuditEntry] | Sequence[Event], address: str, before: int | None) -> Markup | None:
    if len(found) <= PAGE and not before:
        return None
    newest = tag("a", "Newest", href=address, class_="button slim") if before else None
    older = (
        tag("a", "Older", href=f"{address}&before={found[PAGE - 1].id}", class_="button slim")
        if len(found) > PAGE
        else None
    )
    return tag("nav", tag("div", newest, older, class_="end"), class_="pager", aria_label="Pages")
