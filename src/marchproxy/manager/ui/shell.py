"""Shell: what is around every page: where one is, who one is, what is in force, and whether figures are new."""

from collections.abc import Iterator
from contextlib import contextmanager

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.revising import Applying, Phase
from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.fragment import Fragment
from marchproxy.manager.ui.components.icons import icon
from marchproxy.manager.ui.components.markup import Child, joined, tag
from marchproxy.manager.ui.components.states import banner, stale
from marchproxy.manager.ui.components.words import span
from marchproxy.manager.ui.frame import Frame, beating
from marchproxy.manager.ui.navigation import navigation
from marchproxy.manager.watching import LiveView

_OVER = frozenset({Phase.DONE, Phase.REFUSED})


@contextmanager
def shell(frame: Frame, title: str, here: str) -> Iterator[None]:
    """A page with this heading; the block makes what is below it."""
    ui.page_title(f"{title} · MarchProxy")
    _one_main()
    with Element("div").classes("shell"):
        with Element("header").classes("top"):
            ui.html(_left(), sanitize=False).classes("row").style(
                "flex-wrap:nowrap;flex:1 1 340px;min-width:0"
            )
            Element("div").classes("space")
            frame.live(lambda view: _state(frame, view))
            ui.html(_person(frame), sanitize=False)
        ui.html(_side(frame, here), sanitize=False, tag="div").classes("side").props("id=pages")
        veil = tag("button", class_="veil", data_do="menu", aria_label="Close the list of pages")
        ui.html(veil, sanitize=False).classes("veil-place")
        with Element("main").classes("main").props("id=main tabindex=-1"):
            frame.live(lambda view: _banners(frame, view))
            frame.notice = Fragment(Markup())
            yield
    beating(frame)


def page_head(title: str, *, lead: Child = None, crumb: Child = None) -> Element:
    """The heading; what is made in it afterwards are the page's actions."""
    with Element("div").classes("page-head"):
        above = tag("span", crumb, " /", class_="crumb") if crumb else None
        ui.html(joined(above, tag("h1", title)), sanitize=False).classes("row")
        actions = Element("div").classes("actions")
        if lead:
            ui.html(tag("p", lead, class_="lead"), sanitize=False).style("flex-basis:100%")
    return actions


def _one_main() -> None:
    """NiceGUI puts everything into a `main` of its own; ours is only what is not the frame."""
    around = ui.context.client.content.parent_slot
    assert around is not None
    around.parent.props("role=none")


def _left() -> Markup:
    menu = tag("button", icon("menu"), type="button", class_="button plain menu-button", data_do="menu",
               aria_label="Pages", aria_controls="pages", aria_expanded="false")  # fmt: skip
    brand = tag(
        "a",
        icon("mark"),
        tag("span", "MarchProxy"),
        href="/",
        class_="brand",
        aria_label="MarchProxy, overview",
    )
    field = tag("input", class_="input", id="seek", name="q", type="search", placeholder="Search",
                aria_label="Search routes, pools, listeners and instances", autocomplete="off")  # fmt: skip
    seek = tag("form", icon("search"), field, tag("kbd", "/"), class_="seek", action="/search", role="search")
    skip = tag("a", "Go to the content", href="#main", class_="button primary skip")
    return joined(skip, menu, brand, seek)


def _person(frame: Frame) -> Markup:
    principal = frame.visit.principal
    session = principal.session
    scheme = tag(
        "button", icon("scheme"), type="button", class_="button plain", data_do="scheme", aria_label="Colours"
    )
    who = tag("span", tag("b", principal.name), f" · {principal.role.value}")
    leave = tag(
        "form",
        tag("input", type="hidden", name="csrf", value=session.csrf if session else ""),
        tag(
            "button",
            icon("out"),
            type="submit",
            class_="button plain",
            aria_label="Sign out",
            title="Sign out",
        ),
        method="post",
        action="/sign-out",
    )
    return tag("div", scheme, who, leave, class_="person")


def _side(frame: Frame, here: str) -> Markup:
    document = frame.desk.revisions.current.document
    counts = {section: len(items) for section, items in document.items()}
    hint = tag(
        "div", "Keys: ", tag("kbd", "/"), " search, ", tag("kbd", "g"), " and a letter to go", class_="foot"
    )
    return joined(navigation(here, counts), hint)


def _state(frame: Frame, view: LiveView) -> Markup:
    head = frame.desk.revisions.current.head
    applying = frame.desk.revisions.progress
    busy = applying is not None and applying.phase not in _OVER
    words = tag("span", tag("span", "Revision ", class_="revision-word"), str(head.number))
    revision = tag(
        "a", words, href="/revisions", class_="badge busy" if busy else "badge", title="The revision in force"
    )
    if not frame.desk.settings.nlbs and view.at is None:
        return tag("div", revision, class_="row nowrap")
    live = (
        badge(f"{span(view.age)} old" if view.at else "no answer", Tone.WARN)
        if view.is_stale
        else badge("live", Tone.OK)
    )
    return tag("div", revision, live, class_="row", style="flex-wrap:nowrap")


def _banners(frame: Frame, view: LiveView) -> Markup:
    applying = frame.desk.revisions.progress
    return joined(_under_way(applying) if applying is not None else None, _stale(frame, view))


def _stale(frame: Frame, view: LiveView) -> Markup | None:
    if not frame.desk.settings.nlbs and view.at is None:
        return None
    if view.at is None:
        what = tag("strong", "No NLB has answered yet. ")
        return banner(
            "warn",
            "alert",
            what,
            "Figures come as soon as one does; the desired state can be read meanwhile.",
        )
    lost = [nlb.address for nlb in view.nlbs if nlb.failure]
    return stale(view.age, lost=lost)


def _under_way(applying: Applying) -> Markup | None:
    if applying.phase in _OVER or applying.phase is Phase.WATCHING:
        return None
    many = sum(phase.value in {"applied", "reports"} for phase in applying.parts.values())
    number = f"Revision {applying.revision}" if applying.revision else "A change"
    said = f"{number} by {applying.by.name}: {applying.phase.value}; {many} of {len(applying.parts)} parts run it."
    return banner("busy", "activity", said)
