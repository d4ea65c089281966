"""Chart: figures over time, drawn by ECharts in the colours of the style sheet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.watching import Slice


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the name of its figure, its name for people, and which of the four colours it has."""

    figure: str
    label: str
    colour: int = 1
    dashed: bool = False


class Chart:
    """Lines over one stretch of time. `unit` stands behind the values; `factor` is what they are multiplied by."""

    def __init__(self, lines: Sequence[Line], *, label: str, unit: str = "", factor: float = 1.0) -> None:
        self.lines = tuple(lines)
        self._factor = factor
        outside = Element("div")
        outside.props.update({"role": "img", "aria-label": label})
        with outside:
            self._chart = ui.echart(_options(self.lines, unit), renderer="svg").classes("chart")

    def show(self, past: Slice) -> None:
        """Draw these values in place of those before. A figure that is not there, where others are, has always been 0."""
        for series, line in zip(self._chart.options["series"], self.lines, strict=True):
            series["data"] = list(self._points(past, line.figure))
        self._chart.update()

    def _points(self, past: Slice, figure: str) -> Iterator[list[float | None]]:
        known = figure in past.values
        steps = max(map(len, past.values.values()), default=0)
        for index in range(steps):
            value = past.values[figure][index] if known else 0.0
            shown = None if value is None else float(f"{value * self._factor:.4g}")
            yield [round((past.start + index * past.step) * 1000), shown]


def _options(lines: Sequence[Line], unit: str) -> dict[str, Any]:
    words = {"color": "var(--ink-3)", "fontSize": 11}
    return {
        "animation": False,
        "grid": {"left": 8, "right": 22, "top": 30 if len(lines) > 1 else 12, "bottom": 4, "containLabel": True},
        "legend": {"show": len(lines) > 1, "left": 0, "top": 0, "itemWidth": 16, "itemHeight": 8, "icon": "roundRect",
                   "textStyle": {"color": "var(--ink-2)", "fontSize": 12}},
        "tooltip": {"trigger": "axis", "backgroundColor": "var(--surface)", "borderColor": "var(--line)",
                    "textStyle": {"color": "var(--ink)", "fontSize": 12},
                    ":valueFormatter": f"(value) => value == null ? '–' : value.toLocaleString() + {unit!r}"},
        "xAxis": {"type": "time", "axisLine": {"lineStyle": {"color": "var(--line-strong)"}}, "axisTick": {"show": False},
                  "axisLabel": {**words, "hideOverlap": True}, "splitLine": {"show": False}},
        "yAxis": {"type": "value", "min": 0, "splitNumber": 3, "axisLabel": words,
                  "splitLine": {"lineStyle": {"color": "var(--line)"}}},
        "series": [_series(line) for line in lines],
    }  # fmt: skip


def _series(line: Line) -> dict[str, Any]:
    colour = f"var(--series-{line.colour})"
    return {
        "type": "line", "name": line.label, "showSymbol": False, "connectNulls": False, "data": [],
        "lineStyle": {"width": 1.8, "color": colour, "type": "dashed" if line.dashed else "solid"},
        "itemStyle": {"color": colour}, "areaStyle": {"color": colour, "opacity": 0 if line.dashed else 0.07},
        "emphasis": {"disabled": True},
    }  # fmt: skip
