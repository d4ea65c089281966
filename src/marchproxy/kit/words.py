"""Numbers and times as people read them. Pure."""

_STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float | None) -> str:
    """Three digits and what they count: 1.25M, 12.3k, 842, 3.2, 0."""
    if value is None or value != value:  # noqa: PLR0124 - a figure that is not a number
        return "–"
    for size, letter in _STEPS:
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def rate(value: float | None) -> str:
    """So many in a second."""
    return "–" if value is None else f"{count(value)}/s"


def percent(share: float | None) -> str:
    """A share of 1 in percent, small ones with as many digits as it takes to see that they are not nothing."""
    if share is None:
        return "–"
    shown = share * 100
    if shown == 0 or shown >= 10:
        return f"{shown:.0f} %"
    return f"{shown:.1f} %" if shown >= 0.1 else "< 0.1 %"


def milliseconds(value: float | None) -> str:
    """How long a request takes; nothing is known of 0."""
    if not value:
        return "–"
    if value >= 10_000:
        return f"{value / 1000:.0f} s"
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.3g} ms"


def size(byte_count: float | None) -> str:
    """Bytes, in steps of 1024."""
    if byte_count is None:
        return "–"
    value = float(byte_count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.3g} {unit}" if value < 1024 else f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError


def span(seconds: float) -> str:
    """A length of time by its two largest units: 3 d 4 h, 12 min, 8 s."""
    whole = int(max(seconds, 0))
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next((index for index, (number, _) in enumerate(parts) if number), 3)
    shown = parts[first : first + (1 if first >= 2 else 2)]
    return " ".join(f"{number} {unit}" for number, unit in shown if number) or "0 s"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 route`, `2 routes`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}".replace(",", "\u202f")
