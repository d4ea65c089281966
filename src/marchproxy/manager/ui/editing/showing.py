"""Showing: faults as a list with their lines, and what a proposal does, everywhere. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from marchproxy.manager.revising import Outcome, PartOutcome
from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.difference import differences
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.states import MOST_PROBLEMS, banner
from marchproxy.manager.ui.components.words import plural
from marchproxy.manager.ui.editing.faults import Fault
from marchproxy.model.changes import Change, redact_item


def fault_list(faults: Sequence[Fault], *, note: str = "") -> Markup:
    """The faults; `note` is said where there are none."""
    if not faults:
        return banner("busy", "alert", note) if note else Markup()
    lines = [tag("li", _where(fault), fault.message) for fault in faults[:MOST_PROBLEMS]]
    title = tag("strong", f"{plural(len(faults), 'fault')} to mend before it can be saved")
    return banner("bad", "stop", title, tag("ul", lines))


def preview(outcome: Outcome) -> Markup:
    """What a proposal changed, or would."""
    changes = shown_changes(outcome.changes)
    if not changes:
        return banner("ok", "done", "Nothing is different from what is in force.")
    if outcome.applied:
        merged = " together with what others changed meanwhile" if outcome.merged else ""
        head = banner("ok", "done", tag("strong", f"Revision {outcome.revision.number} is in force{merged}."))
    else:
        head = banner("busy", "alert", "This is what would change. Nothing has been changed yet.")
    parts = tag("ul", [_part(part) for part in outcome.parts], class_="row") if outcome.parts else None
    concerned = tag("div", tag("h3", "Who is concerned"), parts, class_="inside stack") if parts else None
    return joined(head, tag("section", differences(changes), concerned, class_="panel"))


def shown_changes(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes without secrets."""
    return tuple(
        replace(
            change,
            before=redact_item(change.section, change.before) if change.before is not None else None,
            after=redact_item(change.section, change.after) if change.after is not None else None,
        )
        for change in changes
    )


def _part(part: PartOutcome) -> Markup:
    if part.problems:
        return tag("li", badge(f"{part.name} refuses", Tone.BAD, title="; ".join(map(str, part.problems))))
    return tag("li", badge(part.name, Tone.BUSY if part.would_change else Tone.NONE,
                           title="it takes it" if part.would_change else "it has it already"))  # fmt: skip


def _where(fault: Fault) -> Markup | None:
    line = f"line {fault.line}" if fault.line else ""
    words = " · ".join(word for word in (line, fault.path) if word)
    return tag("code", words) if words else None
