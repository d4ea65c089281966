"""Fragment: a part of a page that the server writes as HTML; the browser changes what differs and nothing else."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from markupsafe import Markup
from nicegui.element import Element
from nicegui.events import GenericEventArguments

Acting = Callable[[str, str], Awaitable[None]]
"""Called with what a button does (`data-act`) and the key that it belongs to (`data-key`)."""


class Fragment(Element, component=Path(__file__).with_name("fragment.js")):
    """Shows Markup, which has escaped what came from outside."""

    def __init__(self, content: Markup, *, on_act: Acting | None = None) -> None:
        super().__init__()
        self._props["html"] = str(content)
        if on_act is not None:

            async def told(event: GenericEventArguments) -> None:
                await on_act(str(event.args["act"]), str(event.args["key"]))

            self.on("act", told)

    def show(self, content: Markup) -> None:
        """Show something else; nothing is sent when it is the same."""
        if self._props["html"] != content:
            self._props["html"] = str(content)
            self.update()
