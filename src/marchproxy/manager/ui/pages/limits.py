"""Rate limits: what each lets pass and refuses."""

from collections.abc import Sequence

from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.markup import Child, tag
from marchproxy.manager.ui.components.table import Column
from marchproxy.manager.ui.components.words import plural, rate
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.pages.section import Listing, build_item, build_list
from marchproxy.manager.watching import LiveView
from marchproxy.model.changes import Item

_UNITS = {"requests_per_second": "s", "requests_per_minute": "min", "requests_per_hour": "h"}


async def build(frame: Frame) -> None:
    """The list."""
    await build_list(frame, LISTING)


async def build_one(frame: Frame) -> None:
    """One limit."""
    await build_item(frame, LISTING)


def _cells(view: LiveView, item: Item) -> Sequence[Child]:
    seen = next((one for one in view.limits if one.limit_id == item["id"]), None)
    state = badge("enabled", Tone.OK) if item.get("enabled", True) else badge("off")
    per = f"for each {item['per']}" if item.get("per") else "for all together"
    denied = (
        tag("strong", rate(seen.denied))
        if seen is not None and seen.denied > 0
        else rate(seen.denied if seen else None)
    )
    return (
        tag("code", str(item["target"])),
        tag("span", _rates(item), tag("span", per, class_="sub")),
        state,
        rate(seen.allowed if seen else None),
        denied,
    )


def _rates(item: Item) -> str:
    shown = [f"{item[name]:,}/{unit}" for name, unit in _UNITS.items() if item.get(name)]
    if item.get("burst_size"):
        shown.append(f"{item['burst_size']:,} at once")
    if item.get("max_concurrent"):
        shown.append(f"{plural(item['max_concurrent'], 'request')} under way")
    return ", ".join(shown) or "nothing"


LISTING = Listing(
    section="rate_limits",
    title="Rate limits",
    one="rate limit",
    lead="How much a target may take. What the NLB keeps is counted here; what modules keep is in their metrics.",
    address="/limits",
    columns=(
        Column("Target", "wide"),
        Column("Allows", "wide"),
        Column("State"),
        Column("Passed", "number"),
        Column("Refused", "number"),
    ),
    cells=_cells,
)
