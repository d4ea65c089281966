"""One document after the other, as plain values, to model values: an item that stays as it was is not read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

from marchproxy.contract.document.codec import decode_plain, read_plain
from marchproxy.contract.document.convert import to_model
from marchproxy.contract.document.schema import StateDocument
from marchproxy.kit.settings import SettingsError, parse
from marchproxy.model.changes import SECTIONS, Document, Item
from marchproxy.model.checks import check_change
from marchproxy.model.problem import InvalidValue
from marchproxy.model.state import DesiredState


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one section: its items as they stood there, the values that they are, and where each is by key."""

    items: Sequence[Item]
    values: Sequence[Any]
    places: Mapping[str, int]

    def value_of(self, section: str, item: Item) -> Any:
        """The value of an item that is equal to the one of its name; None: there is no such."""
        at = self.places.get(_key(section, item))
        return self.values[at] if at is not None and self.items[at] == item else None


_NOTHING = _Known((), (), {})


class Decoder:
    """Knows the last sound document. What it gives is what `decode` would, in a fraction of the time.

    A document that it was given may not be changed in place afterwards. May be used from several threads: what is known
    is replaced as a whole.
    """

    def __init__(self) -> None:
        self._known: tuple[Mapping[str, _Known], DesiredState] = ({}, DesiredState())

    def decode(self, data: bytes) -> DesiredState:
        """As the function `decode`: the sound state in JSON or YAML. Raises InvalidValue with every problem."""
        return self.state(read_plain(data))

    def state(self, document: Document) -> DesiredState:
        """The sound state that a plain document describes. Raises InvalidValue with every problem.

        An item that is equal to the one of that name before gives the same object.
        """
        known, before = self._known
        try:
            state = _assemble(document, known, before)
        except _OutOfForm:
            return decode_plain(document)  # which finds all that is wrong, in the document's own order
        if problems := check_change(before, state):
            raise InvalidValue(problems)
        self.know(document, state)
        return state

    def know(self, document: Document, state: DesiredState) -> None:
        """Take it from the caller that this sound state is what the document describes."""
        known = {section: _known(section, document, state) for section in SECTIONS}
        self._known = (known, state)


class _OutOfForm(Exception):
    pass


def _known(section: str, document: Document, state: DesiredState) -> _Known:
    items, key = document.get(section, ()), SECTIONS[section]
    return _Known(items, getattr(state, section), {item[key]: at for at, item in enumerate(items)})


def _assemble(document: Document, known: Mapping[str, _Known], before: DesiredState) -> DesiredState:
    if not isinstance(document, Mapping) or not document.keys() <= SECTIONS.keys():
        raise _OutOfForm
    sections = {}
    for section, items in document.items():
        found, was = _items(section, items, known.get(section, _NOTHING)), getattr(before, section)
        same = len(found) == len(was) and all(map(is_, found, was))
        # who asks whether anything is new looks at the whole first
        sections[section] = was if same else found
    return DesiredState(**sections)


def _items(section: str, items: Sequence[Item], known: _Known) -> tuple[Any, ...]:
    if not isinstance(items, list | tuple):
        raise _OutOfForm
    found: list[Any] = []
    new: list[int] = []
    stood = len(known.items)
    for number, item in enumerate(items):
        # nearly all of thousands stand where they stood
        unmoved = number < stood and known.items[number] is item
        value = known.values[number] if unmoved else known.value_of(section, item)
        found.append(value)
        if value is None:
            new.append(number)
    if new:
        for number, value in zip(new, _read(section, [items[number] for number in new]), strict=True):
            found[number] = value
    return tuple(found)


def _key(section: str, item: object) -> str:
    key = item.get(SECTIONS[section]) if isinstance(item, dict) else None
    if not isinstance(key, str):
        raise _OutOfForm
    return key


def _read(section: str, items: Sequence[Item]) -> tuple[Any, ...]:
    try:
        state = to_model(parse(StateDocument, {section: items}, {}))
    except SettingsError as error:
        raise _OutOfForm from error
    values: tuple[Any, ...] = getattr(state, section)
    return values
