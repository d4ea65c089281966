"""The whole document in force: to be copied, and to be replaced by one that is pasted."""

import yaml
from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.revising import Outcome
from marchproxy.manager.ui.components.code import yaml_editor
from marchproxy.manager.ui.components.controls import Button, Field
from marchproxy.manager.ui.components.fragment import Fragment
from marchproxy.manager.ui.components.markup import tag
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.words import plural
from marchproxy.manager.ui.editing.showing import preview
from marchproxy.manager.ui.failing import FAILURES, told
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.manager.ui.shell import page_head
from marchproxy.model.changes import redact, unredact
from marchproxy.model.identity import Role
from marchproxy.model.revision import Author

#: Longer ones are for `marchproxy export` and `marchproxy apply`: a browser's editor is slow with them.
_MOST_ITEMS = 500


async def build(frame: Frame) -> None:
    """The page."""
    current = frame.desk.revisions.current
    page_head(
        "Whole document",
        crumb=tag("a", "Revisions", href="/revisions"),
        lead="Secrets are shown as ***; where they stay, they are kept.",
    )
    items = sum(len(section) for section in current.document.values())
    with Element("section").classes("panel"):
        if items > _MOST_ITEMS:
            text = "`marchproxy export` writes it into a file, and `marchproxy apply FILE` puts one in force."
            ui.html(
                empty(f"{plural(items, 'item')} are too many for this page", text, picture="revisions"),
                sanitize=False,
            )
            return
        with Element("div").classes("inside stack"):
            _editor(frame, yaml.safe_dump({name: list(map(dict, section)) for name, section in redact(current.document).items()},
                                          sort_keys=False, allow_unicode=True))  # fmt: skip


def _editor(frame: Frame, text: str) -> None:
    lacking = frame.visit.lacks(Role.OPERATOR)
    base = frame.desk.revisions.current.head.number
    code = yaml_editor(text, label="The document as YAML", scheme=frame.scheme, enabled=not lacking)
    reason = Field("Why", hint="Kept with the revision.")

    async def propose(*, dry_run: bool) -> None:
        revisions = frame.desk.revisions
        try:
            document = unredact(revisions.read(str(code.value).encode()), revisions.current.document)
        except FAILURES as error:
            outcome.show(told(error))
            return
        act = Act("state.apply", "state", Role.OPERATOR, "state:write", recorded=not dry_run)

        async def work(by: Author) -> Outcome:
            return await revisions.propose(document, base=base, by=by, reason=reason.value, dry_run=dry_run)

        found = await frame.perform(act, work, notice=outcome)
        if found is not None:
            outcome.show(preview(found))

    with Element("div").classes("row"):
        Button("Put in force", lambda: propose(dry_run=False), kind="primary", lacking=lacking)
        Button("What would change?", lambda: propose(dry_run=True), lacking=lacking)
    outcome = Fragment(Markup())
