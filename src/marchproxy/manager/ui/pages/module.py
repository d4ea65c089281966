"""One instance: what it does, what it says of itself, and what its NLB has seen go wrong."""

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.manager.ui.components.controls import heading
from marchproxy.manager.ui.components.figure import figure, figures
from marchproxy.manager.ui.components.markup import act_button, tag
from marchproxy.manager.ui.components.states import banner, empty
from marchproxy.manager.ui.components.words import ago, count, milliseconds, percent, size
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.pages.modules import drain_or_not, part_state, runs
from marchproxy.manager.ui.shell import page_head
from marchproxy.manager.watching import LiveView, PartView
from marchproxy.model.identity import Role


async def build(frame: Frame) -> None:
    """The page."""
    name = frame.path["id"]
    page_head(name, crumb=tag("a", "Modules", href="/modules"))

    async def act(verb: str, key: str) -> None:
        await drain_or_not(frame, verb, key)

    with Element("div").classes("stack"):
        frame.live(lambda view: _figures(view.part(name)))
        if frame.desk.live.view.part(name) is None:
            return
        with Element("div").classes("grid-2"):
            with Element("section").classes("panel"):
                with Element("header"):
                    heading("Instance")
                frame.live(lambda view: _facts(frame, view, name), on_act=act)
            with Element("section").classes("panel"):
                with Element("header"):
                    heading("What it says of itself")
                frame.live(lambda view: _told(view.part(name)))


def _figures(part: PartView | None) -> Markup:
    if part is None:
        text = "No NLB knows an instance of this name now. It is back here when it registers again."
        return tag("div", empty("It is not there", text, picture="modules"), class_="panel")
    stats = part.stats
    full = f"of {count(part.max_connections)}" if part.max_connections else None
    return figures(
        figure("Requests", count(stats.requests), unit="/s"),
        figure("Errors", percent(stats.error_share), bad=stats.error_share >= 0.01),
        figure("Latency, p99", milliseconds(stats.p99_ms), note=f"p50 {milliseconds(stats.p50_ms)}"),
        figure("Connections", count(part.connections), note=full),
        figure("CPU", f"{part.cpu:.0f}", unit="%"),
        figure("Memory", f"{part.memory:.0f}", unit="MiB"),
        figure("From clients", size(stats.received), unit="/s"),
        figure("To clients", size(stats.sent), unit="/s"),
    )


def _facts(frame: Frame, view: LiveView, name: str) -> Markup:
    part = view.part(name)
    if part is None:
        return Markup()
    verb = "undrain" if part.draining else "drain"
    facts = (
        ("State", part_state(part)),
        ("Revision", runs(part.checksum, is_current=part.is_current)),
        ("Module", f"{part.kind.value.upper()} {part.version}"),
        ("gRPC", tag("code", part.address)),
        ("Traffic", tag("code", ", ".join(part.traffic)) if part.traffic else "–"),
        ("Zone", part.zone or "–"),
        ("NLB", part.nlb or "–"),
        ("Started", ago(part.since)),
        ("Seen", ago(part.last_seen)),
    )
    troubles = [
        banner("warn", "alert", trouble)
        for trouble in (*part.troubles, *([part.silent] if part.silent else []))
    ]
    listed = tag("dl", [(tag("dt", word), tag("dd", value)) for word, value in facts], class_="facts")
    button = act_button(verb.capitalize(), verb, part.id, lacking=frame.visit.lacks(Role.OPERATOR), kind="")
    return tag("div", troubles, listed, tag("div", button, style="margin-top:16px"), class_="inside")


def _told(part: PartView | None) -> Markup:
    if part is None or not part.facts:
        return empty("Nothing more", "Modules may tell further figures of their own.", picture="modules")
    listed = [
        (tag("dt", name.replace("_", " ")), tag("dd", value)) for name, value in sorted(part.facts.items())
    ]
    return tag("dl", listed, class_="facts inside")
