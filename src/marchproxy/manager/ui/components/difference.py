"""DiffView: what changes, item by item, as the lines of its YAML. Pure."""

from collections.abc import Iterable
from itertools import islice

from markupsafe import Markup

from marchproxy.contract.document import as_yaml
from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.words import plural
from marchproxy.model.changes import Change, Line, compare_lines

#: Items whose lines are shown; of more only the names, so that a page stays one.
MOST_SHOWN = 40
_TONES = {"added": Tone.OK, "changed": Tone.BUSY, "removed": Tone.BAD}
_SIGNS = {"same": " ", "gone": "−", "new": "+"}


def differences(changes: Iterable[Change]) -> Markup:
    """Every change with its lines."""
    listed = tuple(changes)
    shown = [_change(change) for change in islice(listed, MOST_SHOWN)]
    rest = len(listed) - len(shown)
    more = (
        tag(
            "p",
            f"and {plural(rest, 'more item')} that {'is' if rest == 1 else 'are'} not shown",
            class_="inside quiet",
        )
        if rest
        else None
    )
    return tag("div", shown, more, class_="changes")


def _change(change: Change) -> Markup:
    title = joined(
        badge(change.kind, _TONES[change.kind]), f"{change.section.replace('_', ' ')} / {change.key}"
    )
    fields = tag("span", ", ".join(change.fields), class_="quiet") if change.kind == "changed" else None
    before = as_yaml(change.before).splitlines() if change.before is not None else []
    after = as_yaml(change.after).splitlines() if change.after is not None else []
    lines = tag(
        "div",
        [_line(line) for line in compare_lines(before, after)],
        class_="diff",
        tabindex="0",
        role="group",
        aria_label=f"Lines of {change.key}",
    )
    return tag("section", tag("h3", title, fields), lines, class_="change")


def _line(line: Line) -> Markup:
    return tag("span", line.text or " ", class_=line.kind, data_sign=_SIGNS[line.kind])
