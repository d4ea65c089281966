"""Numbers and times as people read them, and times as pages show them. Pure."""

from datetime import UTC, datetime

from markupsafe import Markup

from marchproxy.kit.words import count, milliseconds, percent, plural, rate, size, span
from marchproxy.manager.ui.components.markup import tag

__all__ = ["ago", "count", "milliseconds", "percent", "plural", "rate", "size", "span"]


def ago(at: datetime | None, now: datetime) -> Markup:
    """How long ago, kept true by the browser; the moment itself when it is pointed at."""
    if at is None:
        return tag("span", "never", class_="quiet")
    moment = at.astimezone(UTC)
    return tag(
        "time",
        f"{span((now - at).total_seconds())} ago",
        datetime=moment.isoformat(timespec="seconds"),
        data_ago=True,
        title=f"{moment:%Y-%m-%d %H:%M:%S} UTC",
    )
