"""Revisions: every desired state there was, what each changed, and the way back."""

from collections.abc import Sequence

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.states import empty, refusal
from marchproxy.manager.ui.components.table import Column, Row, table
from marchproxy.manager.ui.components.words import ago
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.shell import page_head
from marchproxy.model.revision import RevisionHead, RevisionNumber, Summary
from marchproxy.store import StoreUnavailable

PAGE = 50
_COLUMNS = (Column("Revision"), Column("Changed"), Column("By"), Column("Why", "wide"), Column("When"))


async def build(frame: Frame) -> None:
    """The list."""
    actions = page_head(
        "Revisions", lead="Every change is a revision. None is ever lost, and any can be put in force again."
    )
    with actions:
        ui.html(tag("a", "Whole document", href="/revisions/document", class_="button"), sanitize=False)
    with Element("section").classes("panel"):
        await frame.looked_up(lambda: _list(frame))


async def _list(frame: Frame) -> Markup:
    before = frame.number("before") or None
    try:
        found = await frame.desk.store.revisions(before=before, limit=PAGE + 1)
    except StoreUnavailable as error:
        return refusal("The revisions cannot be read", [str(error)])
    if not found:
        return empty("No older ones", "This is where it begins.", picture="revisions")
    current = frame.desk.revisions.current.head.number
    rows = [_row(head, current) for head in found[:PAGE]]
    return joined(table(_COLUMNS, rows, label="Revisions"), _older(found, before))


def _row(head: RevisionHead, current: RevisionNumber) -> Row:
    state = badge("in force", Tone.OK) if head.number == current else None
    name = tag(
        "span",
        tag("a", f"Revision {head.number}", href=f"/revisions/{head.number}", class_="name"),
        " ",
        state,
    )
    reason = head.reason or tag("span", "not told", class_="quiet")
    return Row(
        str(head.number),
        (name, counted(head.summary), _author(head), reason, ago(head.created_at)),
    )


def counted(summary: Summary) -> Markup:
    """How much a revision changed."""
    parts = (
        ("added", summary.added, "ok", "+"),
        ("changed", summary.changed, "busy", "~"),
        ("removed", summary.removed, "bad", "−"),
    )
    shown = [
        tag("span", f"{sign}{many}", class_=f"badge {tone}", title=f"{many} {word}")
        for word, many, tone, sign in parts
        if many
    ]
    return joined(*[joined(one, " ") for one in shown]) if shown else tag("span", "nothing", class_="quiet")


def _author(head: RevisionHead) -> Markup:
    kind = "" if head.author.kind in {"user", head.author.name} else head.author.kind
    return tag("span", head.author.name, tag("span", kind, class_="sub") if kind else None)


def _older(found: Sequence[RevisionHead], before: int | None) -> Markup | None:
    if len(found) <= PAGE and not before:
        return None
    newest = tag("a", "Newest", href="/revisions", class_="button slim") if before else None
    older = (
        tag("a", "Older", href=f"/revisions?before={found[PAGE - 1].number}", class_="button slim")
        if len(found) > PAGE
        else None
    )
    return tag("nav", tag("div", newest, older, class_="end"), class_="pager", aria_label="Pages")
