"""Faults: what is wrong with the item that is being edited, with its lines. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from marchproxy.kit.settings import Located, SettingsError, parse_yaml
from marchproxy.kit.settings.located import line_of
from marchproxy.model.changes import HIDDEN, SECTIONS, Document, Item
from marchproxy.model.problem import Problem

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `path` is within the item, or, with `elsewhere`, that of another item. `line` from 1; None: nowhere."""

    line: int | None
    path: str
    message: str
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, as far as it can be read. `faults` are of the text alone; with some there is no item."""

    item: Item | None
    faults: tuple[Fault, ...] = ()
    located: Located | None = None


def read_draft(text: str, section: str, key: str | None) -> Draft:
    """The item in the text. `key`: the name that it must keep; None: a new one, which has one of its own."""
    try:
        located = parse_yaml(text)
    except SettingsError as error:
        return Draft(None, tuple(Fault(one.line, one.path, one.message) for one in error.problems))
    item = located.value
    field = SECTIONS[section]
    if not isinstance(item, Mapping):
        return Draft(None, (Fault(1, "", "write one item: its keys, each with a colon and its value"),))
    named = item.get(field)
    if not isinstance(named, str) or not named:
        return Draft(None, (Fault(1, field, f"every item of {section} has {field}, a text"),))
    if key is not None and named != key:
        words = f'the name cannot change here, because others refer to it; it was "{key}"'
        return Draft(None, (Fault(line_of(located.lines, (field,)), field, words),))
    return Draft(dict(item), (), located)


def with_item(document: Document, section: str, item: Item) -> tuple[Document, int]:
    """The document with this item in place of the one of its name, or behind all; and its place in the section."""
    field = SECTIONS[section]
    items = list(document.get(section) or ())
    place = next((index for index, one in enumerate(items) if one[field] == item[field]), len(items))
    items[place : place + 1] = [item]
    return {**document, section: items}, place


def faults_of(problems: Iterable[Problem], section: str, place: int, draft: Draft) -> tuple[Fault, ...]:
    """The problems of a document as faults of the item at that place, its own first."""
    inside = re.compile(rf"{section}\[{place}\]\.?")
    own, others = [], []
    for problem in problems:
        found = inside.match(problem.path)
        if found is None:
            others.append(Fault(None, problem.path, problem.message, elsewhere=True))
            continue
        path = problem.path[found.end() :]
        line = line_of(draft.located.lines, _steps(path)) if draft.located else None
        own.append(Fault(line, path, problem.message))
    return (*sorted(own, key=lambda fault: fault.line or 0), *others)


def hidden_note(text: str) -> bool:
    """Whether the text has secrets that are hidden."""
    return HIDDEN in text


def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(name or int(number) for name, number in _STEP.findall(path))
