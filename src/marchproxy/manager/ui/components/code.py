"""The editor of YAML texts."""

from collections.abc import Awaitable, Callable
from typing import Literal

from nicegui import ui
from nicegui.element import Element

Typed = Callable[[str], Awaitable[None]]


def _theme(scheme: str) -> Literal["vscodeDark", "vscodeLight"]:
    return "vscodeDark" if scheme == "dark" else "vscodeLight"


def yaml_editor(
    text: str, *, label: str, scheme: str, enabled: bool, typed: Typed | None = None
) -> ui.codemirror:
    """An editor in the colours of the page, also when they change; `typed` hears of each change."""
    with Element("div").classes("editor"):
        code = ui.codemirror(text, language="YAML", theme=_theme(scheme), indent="  ", line_wrapping=True)
    code.props["aria-label"] = label
    code.set_enabled(enabled)
    ui.on("scheme", lambda event: code.set_theme(_theme(str(event.args))))
    if typed is not None:

        async def changed() -> None:
            await typed(str(code.value))

        code.on_value_change(changed)
    return code
