"""Numbers and times as people read them, and times as pages show them. Pure."""

from datetime import UTC, datetime

from markupsafe import Markup

from marchproxy.kit.words import count, milliseconds, percent, plural, rate, size, span
from marchproxy.manager.ui.components.markup import tag

__all__ = ["ago", "count", "milliseconds", "percent", "plural", "rate", "size", "span"]


def ago(at: datetime | None) -> Markup:
    """A moment; the browser counts how long ago it is, so that what is drawn does not change with every second."""
    if at is None:
        return tag("span", "never", class_="quiet")
    moment = at.astimezone(UTC)
    words = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return tag("time", words, datetime=moment.isoformat(timespec="seconds"), data_ago=True, title=words)
