"""Editor: one item as YAML. What is wrong is said as one types; what it would do is shown before it is done."""

import asyncio

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.contract.document import as_yaml
from marchproxy.manager.revising import Current, Outcome
from marchproxy.manager.ui.components.code import yaml_editor
from marchproxy.manager.ui.components.confirm import confirmed
from marchproxy.manager.ui.components.controls import Button, Field, go
from marchproxy.manager.ui.components.fragment import Fragment
from marchproxy.manager.ui.components.markup import address, tag
from marchproxy.manager.ui.editing.faults import Draft, Fault, faults_of, hidden_note, read_draft, with_item
from marchproxy.manager.ui.editing.hints import BEGINNINGS
from marchproxy.manager.ui.editing.showing import fault_list, preview
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.model.changes import SECTIONS, Item, items_by_key, redact_item, unredact
from marchproxy.model.identity import Role
from marchproxy.model.revision import Author

#: Seconds without a key pressed before what was typed is judged.
_PAUSE = 0.4
_MOST_TEXT = 256 * 1024


class Editor:
    """The item of a section by its key; `key` None makes a new one. `back` is where one is afterwards."""

    def __init__(self, frame: Frame, section: str, key: str | None, *, back: str) -> None:
        self._frame, self._section, self._key, self._back = frame, section, key, back
        self._item = self._original(frame.desk.revisions.current)
        self._lacking = frame.visit.lacks(Role.OPERATOR)
        self._typed = 0
        self._build(
            as_yaml(redact_item(section, self._item)) if self._item is not None else BEGINNINGS[section]
        )

    def _original(self, current: Current) -> Item | None:
        return None if self._key is None else items_by_key(current.document, self._section).get(self._key)

    def _build(self, text: str) -> None:
        self._code = yaml_editor(
            text,
            label=f"{self._section} as YAML",
            scheme=self._frame.scheme,
            enabled=not self._lacking,
            typed=self._changed,
        )
        self._problems = Fragment(Markup()).props("aria-live=polite")
        self._reason = Field("Why", hint="Kept with the revision.", kind="text")
        with Element("div").classes("row"):
            Button("Save", self._save, kind="primary", lacking=self._lacking)
            Button("Preview", self._preview, lacking=self._lacking)
            if self._key is not None:
                Button("Delete", self._delete, kind="danger", lacking=self._lacking)
            Button("Back", lambda: go(self._back), kind="plain")
        self._outcome = Fragment(Markup())
        if hidden_note(text):
            self._outcome.show(
                fault_list((), note="*** stands for a secret. Leave it, and the secret stays as it is.")
            )

    async def _changed(self, text: str) -> None:
        self._typed += 1
        mine = self._typed
        await asyncio.sleep(_PAUSE)
        if mine == self._typed:
            _, faults = await self._judge(text)
            if mine == self._typed:
                self._show(faults)

    def _show(self, faults: tuple[Fault, ...]) -> None:
        self._problems.show(fault_list(faults))
        lines = {fault.line for fault in faults if fault.line}
        self._code.decorations = [{"kind": "line", "line": line, "class": "faulty"} for line in sorted(lines)]
        self._code.line_tooltips = {
            line: "; ".join(fault.message for fault in faults if fault.line == line) for line in lines
        }

    async def _judge(self, text: str) -> tuple[Draft, tuple[Fault, ...]]:
        """What was typed with its secrets put back, and all that is wrong with it."""
        if len(text) > _MOST_TEXT:
            return Draft(None), (Fault(None, "", f"one item of more than {_MOST_TEXT} characters is none"),)
        draft = read_draft(text, self._section, self._key)
        if draft.item is None:
            return draft, draft.faults
        document = self._frame.desk.revisions.current.document
        whole = unredact({self._section: [draft.item]}, document)
        item = whole[self._section][0]
        proposed, place = with_item(document, self._section, item)
        problems = await self._frame.desk.revisions.validate(proposed)
        return Draft(item, (), draft.located), faults_of(problems, self._section, place, draft)

    async def _put(self, by: Author, item: Item, *, dry_run: bool) -> Outcome:
        key = str(item[SECTIONS[self._section]])
        return await self._frame.desk.revisions.put(
            self._section, key, item, by=by, reason=self._reason.value, base_item=self._item,
            create_only=self._key is None, dry_run=dry_run,
        )  # fmt: skip

    async def _sound(self) -> Item | None:
        draft, faults = await self._judge(str(self._code.value))
        self._show(faults)
        return None if faults else draft.item

    def _act(self, verb: str, key: str, *, recorded: bool = True) -> Act:
        path = self._section.replace("_", "-")
        return Act(f"{path}.{verb}", f"{path}/{key}", Role.OPERATOR, "state:write", recorded=recorded)

    async def _preview(self) -> None:
        item = await self._sound()
        if item is None:
            return
        key = str(item[SECTIONS[self._section]])
        found = await self._frame.perform(
            self._act("preview", key, recorded=False),
            lambda by: self._put(by, item, dry_run=True),
            notice=self._outcome,
        )
        if found is not None:
            self._outcome.show(preview(found))

    async def _save(self) -> None:
        item = await self._sound()
        if item is None:
            return
        key = str(item[SECTIONS[self._section]])
        verb = "update" if self._key else "create"
        found = await self._frame.perform(
            self._act(verb, key), lambda by: self._put(by, item, dry_run=False), notice=self._outcome
        )
        if found is None:
            return
        self._item = self._original(self._frame.desk.revisions.current)
        self._outcome.show(preview(found))
        if self._key is None:
            go(self._back + address(key))

    async def _delete(self) -> None:
        key = self._key
        if key is None:
            return
        text = tag("p", "It is taken out of the desired state at once; an earlier revision brings it back.")
        if not await confirmed(f"Delete {key}?", text, verb="Delete", danger=True):
            return
        revisions, reason = self._frame.desk.revisions, self._reason.value
        found = await self._frame.perform(
            self._act("delete", key),
            lambda by: revisions.delete(self._section, key, by=by, reason=reason, base_item=self._item),
            notice=self._outcome,
        )
        if found is not None:
            go(self._back)
