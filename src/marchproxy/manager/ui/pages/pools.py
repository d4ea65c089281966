"""Pools: their endpoints with what is seen of them."""

from collections.abc import Sequence

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.controls import heading
from marchproxy.manager.ui.components.figure import figure, figures
from marchproxy.manager.ui.components.markup import Child, joined, tag
from marchproxy.manager.ui.components.states import banner, empty
from marchproxy.manager.ui.components.table import Column, Row, table
from marchproxy.manager.ui.components.words import count, milliseconds, percent, rate
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.pages.section import Listing, build_item, build_list
from marchproxy.manager.watching import EndpointView, LiveView, PoolView
from marchproxy.model.changes import Item

_ENDPOINTS = (Column("Endpoint"), Column("State"), Column("Active", "number"))


async def build(frame: Frame) -> None:
    """The list."""
    await build_list(frame, LISTING)


async def build_one(frame: Frame) -> None:
    """One pool."""
    await build_item(frame, LISTING)


def _cells(view: LiveView, item: Item) -> Sequence[Child]:
    pool = view.pools.get(str(item["name"]))
    version = str(item.get("version", "v1"))
    if pool is None:
        listed = len(item.get("endpoints") or ())
        return version, badge("not seen"), str(listed), "–", "–", "–"
    return (
        version, pool_state(pool), f"{pool.sound} of {len(pool.endpoints)}", rate(pool.stats.requests),
        percent(pool.stats.error_share) if pool.stats.requests else "–", milliseconds(pool.stats.p99_ms),
    )  # fmt: skip


def pool_state(pool: PoolView) -> Markup:
    """How a pool is, in one word."""
    if pool.trouble:
        return badge("degraded", Tone.WARN, title=pool.trouble)
    if not pool.endpoints:
        return badge("empty", Tone.NONE)
    if not pool.sound:
        return badge("unhealthy", Tone.BAD)
    return badge("healthy", Tone.OK) if pool.sound == len(pool.endpoints) else badge("degraded", Tone.WARN)


async def _beside(frame: Frame, key: str) -> None:
    with Element("section").classes("panel"):
        with Element("header"):
            heading("Endpoints")
        frame.live(lambda view: _seen(view.pools.get(key)))


def _seen(pool: PoolView | None) -> Markup:
    if pool is None:
        return empty(
            "Nobody has it", "No instance that answers runs a revision with this pool.", picture="pools"
        )
    numbers = figures(
        figure("Requests", count(pool.stats.requests), unit="/s"),
        figure("Errors", percent(pool.stats.error_share), bad=pool.stats.error_share >= 0.01),
        figure("p99", milliseconds(pool.stats.p99_ms)),
    )
    trouble = banner("warn", "alert", pool.trouble) if pool.trouble else None
    rows = table(_ENDPOINTS, [_endpoint(one) for one in pool.endpoints], label="Endpoints")
    return joined(tag("div", trouble, numbers, class_="inside"), rows)


def _endpoint(one: EndpointView) -> Row:
    said = " · ".join(
        word
        for word in (f"weight {one.weight}" if one.weight != 1 else "", "found" if one.found else "")
        if word
    )
    name = tag(
        "span", tag("span", one.address, class_="name"), tag("span", said, class_="sub") if said else None
    )
    state = badge(one.health.value) if one.health else badge("not checked")
    return Row(one.address, (name, state, str(one.active_requests)))


LISTING = Listing(
    section="pools",
    title="Pools",
    one="pool",
    lead="Named sets of endpoints, each of one version.",
    address="/pools",
    columns=(
        Column("Version"), Column("State"), Column("Healthy", "number"), Column("Requests", "number"), Column("Errors", "number"),
        Column("p99", "number"),
    ),
    cells=_cells,
    beside=_beside,
)  # fmt: skip
