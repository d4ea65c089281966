"""One revision: what it changed, what putting it in force again would change, and the button for that."""

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.revising import Outcome
from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.controls import Button, Field, heading
from marchproxy.manager.ui.components.difference import differences
from marchproxy.manager.ui.components.fragment import Fragment
from marchproxy.manager.ui.components.markup import tag
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.words import ago
from marchproxy.manager.ui.editing.showing import preview, shown_changes
from marchproxy.manager.ui.failing import FAILURES, told
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.manager.ui.pages.revisions import counted
from marchproxy.manager.ui.shell import page_head
from marchproxy.model.changes import Change
from marchproxy.model.identity import Role
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.revision import Author, RevisionHead, RevisionNumber


async def build(frame: Frame) -> None:
    """The page."""
    text = frame.path["number"]
    page_head(f"Revision {text}", crumb=tag("a", "Revisions", href="/revisions"))
    try:
        head, changes = await _read(frame, int(text) if text.isdigit() and len(text) < 12 else 0)
    except FAILURES as error:
        ui.html(told(error), sanitize=False)
        return
    with Element("div").classes("two-thirds"):
        with Element("section").classes("panel"):
            with Element("header"):
                heading(
                    f"What it changed against revision {head.parent}" if head.parent else "What it began with"
                )
            shown = (
                differences(shown_changes(changes))
                if changes
                else empty("Nothing", "It has the items of the one before.", picture="done")
            )
            ui.html(shown, sanitize=False)
        with Element("div").classes("stack"):
            with Element("section").classes("panel"), Element("div").classes("inside"):
                frame.live(lambda _: _facts(frame, head))
            _restore(frame, head)


async def _read(frame: Frame, number: int) -> tuple[RevisionHead, tuple[Change, ...]]:
    found = await frame.desk.store.revision(RevisionNumber(number))
    if found is None:
        raise Refused(RefusalCode.NOT_FOUND, "There is no revision of this number.")
    if found.head.parent is None:
        return found.head, ()
    return found.head, await frame.desk.revisions.diff(found.head.parent, found.head.number)


def _facts(frame: Frame, head: RevisionHead) -> Markup:
    is_current = frame.desk.revisions.current.head.number == head.number
    facts = {
        "State": badge("in force", Tone.OK) if is_current else badge("earlier"),
        "Made by": f"{head.author.name} ({head.author.kind})",
        "When": ago(head.created_at),
        "Why": head.reason or "not told",
        "Changed": counted(head.summary),
        "Checksum": tag("code", head.checksum[:16], title=head.checksum),
    }
    return tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in facts.items()], class_="facts")


def _restore(frame: Frame, head: RevisionHead) -> None:
    lacking = frame.visit.lacks(Role.OPERATOR)
    if not lacking and frame.desk.revisions.current.head.number == head.number:
        lacking = "It is in force already."
    revisions = frame.desk.revisions
    with Element("section").classes("panel"):
        with Element("header"):
            heading("Put it in force again")
        with Element("div").classes("inside stack"):
            reason = Field("Why", f"back to revision {head.number}")

            async def propose(*, dry_run: bool) -> None:
                target = f"revisions/{head.number}"
                act = Act("revisions.restore", target, Role.OPERATOR, "state:write", recorded=not dry_run)

                async def work(by: Author) -> Outcome:
                    return await revisions.restore(head.number, by=by, reason=reason.value, dry_run=dry_run)

                found = await frame.perform(act, work, notice=outcome)
                if found is not None:
                    outcome.show(preview(found))

            with Element("div").classes("row"):
                Button("Restore", lambda: propose(dry_run=False), kind="primary", lacking=lacking)
                Button("What would change?", lambda: propose(dry_run=True), lacking=lacking)
            outcome = Fragment(Markup())
