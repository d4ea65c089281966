"""Routes: what they match and where they lead, what they serve now, and where a request would go."""

from collections.abc import Sequence

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.contract.fleet.explaining import (
    Explanation,
    NotAQuestion,
    Step,
    conclusion,
    read_question,
    steps,
)
from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.controls import Button, Field, heading
from marchproxy.manager.ui.components.figure import figure, figures
from marchproxy.manager.ui.components.fragment import Fragment
from marchproxy.manager.ui.components.markup import Child, address, tag
from marchproxy.manager.ui.components.shares import shares
from marchproxy.manager.ui.components.states import refusal
from marchproxy.manager.ui.components.table import Column
from marchproxy.manager.ui.components.words import count, milliseconds, percent, rate
from marchproxy.manager.ui.failing import FAILURES, told
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.pages.section import Listing, build_item, build_list
from marchproxy.manager.watching import LiveView
from marchproxy.model.changes import Item, items_by_key


async def build(frame: Frame) -> None:
    """The list."""
    await build_list(frame, LISTING)
    with Element("div").style("margin-top:16px;max-width:640px"):
        question_box(frame, _example(frame, {}))


async def build_one(frame: Frame) -> None:
    """One route."""
    await build_item(frame, LISTING)


def _cells(view: LiveView, item: Item) -> Sequence[Child]:
    stats = view.route(str(item["id"]))
    return (
        matching(item), leading(item), rate(stats.requests), percent(stats.error_share) if stats.requests else "–",
        milliseconds(stats.p99_ms),
    )  # fmt: skip


def matching(item: Item) -> Markup:
    """What a request must look like."""
    hosts = list(item.get("hosts") or ())
    where = hosts[0] if hosts else str(item.get("protocol", "any host"))
    more = f" and {len(hosts) - 1} more" if len(hosts) > 1 else ""
    return tag("span", f"{where}{more}", tag("span", tag("code", _path(item)), class_="sub"))


def _path(item: Item) -> str:
    path = item.get("path", "/")
    if isinstance(path, str):
        return path
    kind, value = next(iter(path.items()))
    return str(value) if kind == "prefix" else f"{kind} {value}"


def leading(item: Item) -> Markup:
    """What becomes of it."""
    backends = [
        (one, 100) if isinstance(one, str) else (str(one["pool"]), int(one.get("weight", 100)))
        for one in item.get("backends") or ()
    ]
    if len(backends) == 1:
        return tag("a", backends[0][0], href=address("pools", backends[0][0]))
    if backends:
        return shares(backends)
    kind = next((name for name in ("redirect", "response", "ai", "rtmp") if item.get(name)), "")
    return tag(
        "span",
        {"redirect": "redirects", "response": "answers itself", "ai": "by model", "rtmp": "streams"}.get(
            kind, "–"
        ),
        class_="quiet",
    )


async def _beside(frame: Frame, key: str) -> None:
    def live(view: LiveView) -> Markup:
        stats = view.route(key)
        return figures(
            figure("Requests", count(stats.requests), unit="/s"),
            figure("Errors", percent(stats.error_share), bad=stats.error_share >= 0.01),
            figure("p99", milliseconds(stats.p99_ms)),
        )

    frame.live(live)
    item = items_by_key(frame.desk.revisions.current.document, "routes")[key]
    question_box(frame, _example(frame, item))


def _example(frame: Frame, item: Item) -> str:
    """A request that would match, as far as one can be guessed."""
    listeners = {
        str(one["name"]): one for one in frame.desk.revisions.current.document.get("listeners") or ()
    }
    named = [listeners[name] for name in item.get("listeners") or () if name in listeners] or list(
        listeners.values()
    )
    port = str(named[0]["address"]).rpartition(":")[2] if named else "80"
    path = item.get("path", "/")
    shown = path if isinstance(path, str) else path.get("prefix") or path.get("exact") or "/"
    host = next(iter(item.get("hosts") or ()), "127.0.0.1").replace("*", "www")
    return f"http://{host}:{port}{shown}"


def question_box(frame: Frame, url: str) -> None:
    """The box that tests a request: where it would go, and why. Nothing is sent."""
    with Element("section").classes("panel"):
        with Element("header"):
            heading("Test a request")
        with Element("div").classes("inside stack"):
            address = Field("URL", url, kind="url")
            with Element("div").classes("grid-2"):
                method = Field(
                    "Method",
                    "GET",
                    choices={name: name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")},
                )
                client = Field("Client's address")
            headers = Field("Headers", kind="area", hint="One on each line: Name: value")

            async def ask() -> None:
                lines = [line for line in headers.value.splitlines() if line.strip()]
                try:
                    question = read_question(address.value, method.value, lines, client=client.value.strip())
                    answer.show(explained(await frame.desk.operations.explain(question)))
                except NotAQuestion as error:
                    answer.show(refusal("This is no request", [str(error)]))
                except FAILURES as error:
                    answer.show(told(error))

            Button("Where does it go?", ask, kind="primary")
            answer = Fragment(Markup()).props("aria-live=polite")


def explained(explanation: Explanation) -> Markup:
    """Every step, and where it ends."""
    lines = [line for step in steps(explanation) for line in _lines(step, 0)]
    tone = Tone.OK if explanation.served else Tone.BAD
    end = tag("li", badge(conclusion(explanation), tone), class_="result")
    return tag("ol", lines, end, class_="steps")


def _lines(step: Step, depth: int) -> list[Markup]:
    style = f"padding-left:{16 + 14 * max(depth - 1, 0)}px" if depth else None
    here = tag("li", step.words, class_=None if depth else "head", style=style)
    return [here, *(line for inner in step.inner for line in _lines(inner, depth + 1))]


LISTING = Listing(
    section="routes",
    title="Routes",
    one="route",
    lead="What a request must look like, and which pools answer it.",
    address="/routes",
    columns=(
        Column("Matches", "wide"),
        Column("Leads to", "wide"),
        Column("Requests", "number"),
        Column("Errors", "number"),
        Column("p99", "number"),
    ),
    cells=_cells,
    beside=_beside,
)
