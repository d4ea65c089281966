"""DiffView: what changes, item by item, as the lines of its YAML. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from itertools import islice
from typing import Any

import yaml
from markupsafe import Markup

from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.markup import joined, tag
from marchproxy.manager.ui.components.words import plural
from marchproxy.model.changes import Change

#: Items whose lines are shown; of more only the names, so that a page stays one.
MOST_SHOWN = 40
_TONES = {"added": Tone.OK, "changed": Tone.BUSY, "removed": Tone.BAD}
_AROUND = 3


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


def as_yaml(item: Mapping[str, Any]) -> str:
    """An item as people write it."""
    text: str = yaml.safe_dump(dict(item), sort_keys=False, allow_unicode=True, width=100)
    return text


def _change(change: Change) -> Markup:
    title = joined(
        badge(change.kind, _TONES[change.kind]), f"{change.section.replace('_', ' ')} / {change.key}"
    )
    fields = tag("span", ", ".join(change.fields), class_="quiet") if change.kind == "changed" else None
    before = as_yaml(change.before).splitlines() if change.before is not None else []
    after = as_yaml(change.after).splitlines() if change.after is not None else []
    lines = tag(
        "div",
        list(_lines(before, after)),
        class_="diff",
        tabindex="0",
        role="group",
        aria_label=f"Lines of {change.key}",
    )
    return tag("section", tag("h3", title, fields), lines, class_="change")


def _lines(before: list[str], after: list[str]) -> Iterator[Markup]:
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(_AROUND):
        for word, left, left_end, right, right_end in group:
            if word == "equal":
                yield from (_line("same", " ", text) for text in before[left:left_end])
                continue
            yield from (_line("gone", "−", text) for text in before[left:left_end])
            yield from (_line("new", "+", text) for text in after[right:right_end])


def _line(kind: str, sign: str, text: str) -> Markup:
    return tag("span", text or " ", class_=kind, data_sign=sign)
