"""Settings: how this manager was started, what it looks after, and one's own account."""

from collections.abc import Sequence

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy import __version__
from marchproxy.manager.settings import ManagerSettings
from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.controls import heading
from marchproxy.manager.ui.components.markup import Child, tag
from marchproxy.manager.ui.components.words import ago
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.shell import page_head

_KEYS = (
    ("/", "search, or the field of the list"),
    ("g", "and a letter: go to a page; the letter is shown beside it"),
    ("Esc", "out of a field, a question or the list of pages"),
)


async def build(frame: Frame) -> None:
    """The page."""
    page_head(
        "Settings", lead="The section “manager” of the file says all this; it takes effect at the next start."
    )
    settings = frame.desk.settings
    with Element("div").classes("grid-2"):
        _panel("This manager", _facts(settings))
        _panel("You", _you(frame))
        _panel("Keys", [(tag("kbd", key), words) for key, words in _KEYS])
        _panel("Programs", _PROGRAMS)


def _panel(title: str, facts: Sequence[tuple[Child, Child]]) -> None:
    with Element("section").classes("panel"):
        with Element("header"):
            heading(title)
        shown = [(tag("dt", name), tag("dd", value)) for name, value in facts]
        ui.html(tag("dl", shown, class_="facts"), sanitize=False).classes("inside")


def _facts(settings: ManagerSettings) -> Sequence[tuple[Child, Child]]:
    database = settings.database or f"SQLite in {settings.directory()}"
    tls = (
        badge("on", Tone.OK)
        if settings.secure
        else badge("off", Tone.WARN, title="Passwords and sessions travel in the clear")
    )
    return (
        ("Name", settings.id),
        ("Version", __version__),
        ("HTTP", str(settings.http)),
        ("TLS", tls),
        ("Public URL", settings.public_url or "not given"),
        ("Database", tag("code", database)),
        ("NLBs", ", ".join(map(str, settings.nlbs)) or "none"),
        ("Sessions last", f"{settings.session_hours:g} hours"),
        ("Metrics", tag("code", f"http://{settings.metrics}/metrics")),
    )


def _you(frame: Frame) -> Sequence[tuple[Child, Child]]:
    principal = frame.visit.principal
    session = principal.session
    since: Markup | str = ago(session.created_at) if session else "–"
    return (
        ("Name", principal.name),
        ("Role", principal.role.value),
        ("Signed in", since),
        ("From", session.address if session else "–"),
        ("Password", tag("a", "Change it", href="/password")),
    )


_PROGRAMS: Sequence[tuple[Child, Child]] = (
    ("REST API", tag("code", "/api/v1")),
    ("OpenAPI", tag("a", "/api/v1/openapi.json", href="/api/v1/openapi.json")),
    ("Live changes", tag("code", "/api/v1/events/stream")),
    ("API keys", tag("a", "make one", href="/keys")),
    ("Health", tag("a", "/readyz", href="/readyz")),
)
