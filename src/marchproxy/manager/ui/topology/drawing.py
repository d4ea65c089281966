"""Drawing: a picture as SVG in three columns. Its colours are the style sheet's. Pure."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from marchproxy.manager.ui.components.badge import Tone
from marchproxy.manager.ui.components.icons import SHAPES
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.words import rate
from marchproxy.manager.ui.topology.picture import Link, Node, Picture

WIDTH, TOP = 1100, 30
_BOX_WIDTH, _BOX_HEIGHT, _GAP = 260, 48, 12
_COLUMNS = (1, (WIDTH - _BOX_WIDTH) // 2, WIDTH - _BOX_WIDTH - 1)
_TITLES = ("Listeners", "Modules", "Pools")
_MOST_LABELS = 12


def drawing(picture: Picture) -> Markup:
    """The whole, as high as its longest column."""
    columns = [[node for node in picture.nodes if node.column == number] for number in range(3)]
    height = TOP + max(*map(_height, columns), _BOX_HEIGHT) + 2
    places = {node.id: place for nodes in columns for node, place in _places(nodes, height)}
    titles = [
        tag("text", title, x=x, y=14, class_="column") for title, x in zip(_TITLES, _COLUMNS, strict=True)
    ]
    tones = {node.id: node.tone for node in picture.nodes}
    labelled = len(picture.links) <= _MOST_LABELS
    shown = [link for link in picture.links if link.source in places and link.target in places]
    links = [_link(link, places, tones, labelled=labelled) for link in shown]
    boxes = [_box(node, places[node.id]) for node in picture.nodes]
    what = f"{len(columns[0])} listeners, {len(columns[1])} groups of modules, {len(columns[2])} pools and what flows between"
    svg = tag("svg", titles, links, boxes, viewBox=f"0 0 {WIDTH} {height}", role="group", aria_label=what)
    return tag(
        "div", svg, class_="topology", tabindex="0", role="region", aria_label="Topology, scrolls sideways"
    )


def _height(nodes: Sequence[Node]) -> int:
    return len(nodes) * (_BOX_HEIGHT + _GAP) - _GAP


def _places(nodes: Sequence[Node], height: int) -> list[tuple[Node, tuple[int, int]]]:
    """Of each node its upper left corner; a short column is in the middle."""
    first = TOP + (height - TOP - 2 - _height(nodes)) // 2
    return [
        (node, (_COLUMNS[node.column], first + index * (_BOX_HEIGHT + _GAP)))
        for index, node in enumerate(nodes)
    ]


def _box(node: Node, place: tuple[int, int]) -> Markup:
    x, y = place
    tone = node.tone.value
    name, *said = node.lines
    sign = Markup('<g class="sign {}" transform="translate({} {})" fill="currentColor">{}</g>').format(
        tone, x + 12, y + 12, SHAPES[tone]
    )
    return tag(
        "a",
        tag("rect", x=x, y=y, width=_BOX_WIDTH, height=_BOX_HEIGHT, rx=8, class_=f"box {tone}"),
        sign,
        tag("text", _short(name, 28), x=x + 30, y=y + 20, font_weight=600),
        [
            tag("text", _short(line, 44), x=x + 30, y=y + 37 + 15 * index, class_="line2")
            for index, line in enumerate(said)
        ],
        href=node.href,
        aria_label=f"{', '.join(node.lines)}{_state(node.tone)}",
    )


def _link(
    link: Link, places: Mapping[str, tuple[int, int]], tones: Mapping[str, Tone], *, labelled: bool
) -> Markup:
    (x1, y1), (x2, y2) = places[link.source], places[link.target]
    start, end = (x1 + _BOX_WIDTH, y1 + _BOX_HEIGHT // 2), (x2, y2 + _BOX_HEIGHT // 2)
    middle = (start[0] + end[0]) // 2
    flows = (link.flow or 0) > 0
    kind = " bad" if tones[link.target] is Tone.BAD else " flows" if flows else ""
    path = f"M{start[0]} {start[1]}C{middle} {start[1]} {middle} {end[1]} {end[0]} {end[1]}"
    line = tag("path", d=path, class_=f"link{kind}", stroke_width=f"{_stroke(link.flow):.2g}")
    words = " · ".join(word for word in (link.label, rate(link.flow) if flows else "") if word)
    if not labelled or not words:
        return line
    return joined(line, tag("text", words, x=end[0] - 8, y=end[1] - 6, text_anchor="end", class_="rate"))


def _stroke(flow: float | None) -> float:
    """A line is one unit wider for each time ten."""
    return 1.4 + min(math.log10(1 + flow), 4) if flow else 1.4


def _state(tone: Tone) -> str:
    return {Tone.OK: "", Tone.WARN: ": not all is well", Tone.BAD: ": down"}.get(tone, "")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
