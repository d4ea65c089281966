"""Figure and Sparkline: one number with its unit, and how it came to be so. Pure."""

from collections.abc import Sequence

from markupsafe import Markup

from marchproxy.manager.ui.components.markup import Child, tag

_WIDTH, _HEIGHT = 100, 28


def figures(*items: Markup) -> Markup:
    """Figures beside each other."""
    return tag("dl", items, class_="figures")


def figure(
    label: str,
    value: str,
    *,
    unit: str = "",
    note: Child = None,
    bad: bool = False,
    line: Markup | None = None,
) -> Markup:
    """One number. `note` says what it is out of; `line` is its sparkline."""
    return tag(
        "div",
        tag("dt", label),
        tag("dd", value, tag("small", unit) if unit else None),
        tag("span", note, class_="note") if note else None,
        line,
        class_="figure bad" if bad else "figure",
    )


def sparkline(values: Sequence[float | None], *, label: str) -> Markup:
    """A line of the values, the oldest first, from nothing to the largest; gaps where there is none."""
    return tag(
        "svg",
        [tag("polyline", points=points, fill="none", stroke="currentColor", stroke_width="1.6",
             vector_effect="non-scaling-stroke", stroke_linejoin="round") for points in _runs(values)],
        class_="sparkline", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", preserveAspectRatio="none", role="img", aria_label=label,
    )  # fmt: skip


def _runs(values: Sequence[float | None]) -> list[str]:
    """The points of each run of values without a gap."""
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    step = _WIDTH / max(len(values) - 1, 1)
    runs: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        runs[-1].append(f"{index * step:.4g},{_HEIGHT - 2 - value / most * (_HEIGHT - 5):.4g}")
    return [" ".join(run) for run in runs if len(run) > 1]
