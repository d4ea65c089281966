"""What can be pressed and filled in: native elements of HTML, each with its label."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

Pressed = Callable[[], Awaitable[None] | None]
Changed = Callable[[str], Awaitable[None] | None]


class Button(TextElement):
    """A button. `lacking` is why it cannot be pressed; empty: it can."""

    def __init__(self, text: str, pressed: Pressed, *, kind: str = "", lacking: str = "") -> None:
        super().__init__(tag="button", text=text)
        self.classes(f"button {kind}")
        self._props["type"] = "button"
        if lacking:
            self._props["aria-disabled"] = "true"
            self._props["title"] = lacking
            self._props["aria-description"] = lacking
        else:
            self.on("click", lambda _: pressed())


class Field:
    """A field with its label. `kind` is that of HTML's input, "area" for several lines; `choices` make it a list."""

    def __init__(
        self,
        label: str,
        value: str = "",
        *,
        kind: str = "text",
        hint: str = "",
        choices: Mapping[str, str] | None = None,
        changed: Changed | None = None,
    ) -> None:
        self.value = value
        self._changed = changed
        with Element("div").classes("field"):
            name = TextElement(tag="label", text=label)
            self.element = self._made(kind, value, choices)
            name.props["for"] = self.element.html_id
            if hint:
                TextElement(tag="span", text=hint).classes("hint")

    def put(self, value: str) -> None:
        """Put something else into it."""
        self.value = value
        self.element.props["value"] = value
        self.element.update()

    def _made(self, kind: str, value: str, choices: Mapping[str, str] | None) -> Element:
        element = Element("select" if choices else "textarea" if kind == "area" else "input").classes("input")
        props: dict[str, Any] = {"value": value, "autocomplete": "off", "spellcheck": "false"}
        if not choices and kind != "area":
            props["type"] = kind
        element.props.update(props)
        if choices:
            with element:
                for key, words in choices.items():
                    option = TextElement(tag="option", text=words)
                    option.props.update({"value": key, "selected": key == value})
        event = "change" if choices else "input"
        element.on(event, self._take, js_handler="(event) => emit(event.target.value)")
        return element

    async def _take(self, event: GenericEventArguments) -> None:
        self.value = str(event.args)
        if self._changed is not None and (waiting := self._changed(self.value)) is not None:
            await waiting


def heading(text: str, level: int = 2) -> TextElement:
    """A heading."""
    return TextElement(tag=f"h{level}", text=text)


def go(address: str) -> None:
    """Have the browser go somewhere in the UI."""
    ui.navigate.to(address)
