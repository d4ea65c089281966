"""Listeners: where clients connect, which module is behind them, and what comes in."""

from collections.abc import Sequence

from markupsafe import Markup

from marchproxy.manager.ui.components.badge import badge
from marchproxy.manager.ui.components.figure import figure, figures
from marchproxy.manager.ui.components.markup import Child, tag
from marchproxy.manager.ui.components.shares import shares
from marchproxy.manager.ui.components.table import Column
from marchproxy.manager.ui.components.words import count, rate, size
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.pages.section import Listing, build_item, build_list
from marchproxy.manager.watching import ListenerView, LiveView
from marchproxy.model.changes import Item


async def build(frame: Frame) -> None:
    """The list."""
    await build_list(frame, LISTING)


async def build_one(frame: Frame) -> None:
    """One listener."""
    await build_item(frame, LISTING)


def _cells(view: LiveView, item: Item) -> Sequence[Child]:
    seen = _seen(view, str(item["name"]))
    where = tag("span", str(item["address"]), tag("span", str(item.get("protocol", "tcp")), class_="sub"))
    module = str(item.get("module", "any"))
    if seen is None:
        return where, module, badge("not seen"), "–", "–"
    versions = shares(list(seen.weights.items())) if len(seen.weights) > 1 else ", ".join(seen.weights)
    behind = tag("span", module.upper(), " ", versions)
    return where, behind, seen.plane or "–", rate(seen.accepted), count(seen.connections)


def _seen(view: LiveView, name: str) -> ListenerView | None:
    return next((one for one in view.listeners if one.name == name), None)


async def _beside(frame: Frame, key: str) -> None:
    def live(view: LiveView) -> Markup:
        seen = _seen(view, key)
        if seen is None:
            return figures(figure("Connections", "–", note="no NLB that answers has it"))
        return figures(
            figure("New connections", count(seen.accepted), unit="/s"),
            figure("Open", count(seen.connections)),
            figure("Failed", count(seen.failed), unit="/s", bad=seen.failed > 0),
            figure("From clients", size(seen.received), unit="/s"),
            figure("To clients", size(seen.sent), unit="/s"),
        )

    frame.live(live)


LISTING = Listing(
    section="listeners",
    title="Listeners",
    one="listener",
    lead="Where clients connect. The plane is what carries their bytes: the kernel, Envoy, or the relay that detects protocols.",
    address="/listeners",
    columns=(
        Column("Address", "wide"),
        Column("Behind it", "wide"),
        Column("Plane"),
        Column("New", "number"),
        Column("Open", "number"),
    ),
    cells=_cells,
    beside=_beside,
)
