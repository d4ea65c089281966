"""Confirm: a question before what cannot be taken back easily, with what it will do."""

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.ui.components.controls import Button, heading
from marchproxy.manager.ui.components.fragment import Fragment


async def confirmed(title: str, body: Markup, *, verb: str, danger: bool = False, wide: bool = False) -> bool:
    """Whether the visitor pressed `verb`. Esc and a click beside it are a no."""
    with ui.dialog().props(f'aria-label="{title}"') as dialog, sheet(wide=wide):
        with Element("header"):
            heading(title)
        with Element("div").classes("inside"):
            Fragment(body)
        with Element("footer"):
            Button("Cancel", lambda: dialog.submit("no"))
            Button(verb, lambda: dialog.submit("yes"), kind="danger" if danger else "primary")
    answer = await dialog
    dialog.delete()
    return bool(answer == "yes")


def sheet(*, wide: bool = False) -> Element:
    """What a dialog stands on."""
    return Element("div").classes("sheet wide" if wide else "sheet")
