"""The document as bytes between parts: canonical when written, strict when read."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from marchproxy.contract.document.convert import ITEM_DOCUMENTS, to_model
from marchproxy.contract.document.partial import problems_beside
from marchproxy.contract.document.schema import StateDocument
from marchproxy.kit.settings import Located, SettingsError, parse, parse_yaml
from marchproxy.kit.settings import Problem as LocatedProblem
from marchproxy.model.changes import Document, Item
from marchproxy.model.checks import check_state
from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.model.state import DesiredState

#: Bytes of the largest document that is read: some 20,000 routes.
LARGEST_DOCUMENT = 8 * 1024 * 1024

_SURROGATE = re.compile(rb"\\[uU](0000)?[dD][89a-fA-F]")


def encode(state: DesiredState) -> bytes:
    """The state as canonical JSON: sorted keys, no spaces, defaults left out. Equal states give equal bytes.

    Raises pydantic's ValidationError on values that no document can hold, such as a rate that is not a number.
    """
    return Encoder().encode(state)


class Encoder:
    """Encodes one state after the other, and each item only once for as long as it stays the same object."""

    def __init__(self) -> None:
        # by id, which is an item's own as long as it is kept beside
        self._texts: dict[int, tuple[object, str]] = {}

    def encode(self, state: DesiredState) -> bytes:
        """As the function `encode`."""
        before, kept = self._texts, {}
        sections: dict[str, list[str]] = {}
        for name in ITEM_DOCUMENTS:
            texts = sections[name] = []
            for item in getattr(state, name):
                known = before.get(id(item)) or (item, _text(_plain(name, item)))
                kept[id(item)] = known
                texts.append(known[1])
        self._texts = kept
        return _joined(sections)


@dataclass(frozen=True, slots=True)
class Canonical:
    """A state as the canonical document: plain, and its bytes."""

    document: Document
    data: bytes


class Canon:
    """As an Encoder, for who needs the plain document beside its bytes. An item that stays is the same plain object."""

    def __init__(self) -> None:
        self._items: dict[int, tuple[object, Item, str]] = {}

    def of(self, state: DesiredState) -> Canonical:
        """The canonical document of a state."""
        before = self._items
        kept: dict[int, tuple[object, Item, str]] = {}
        document: dict[str, list[Item]] = {}
        sections: dict[str, list[str]] = {}
        for name in ITEM_DOCUMENTS:
            if not (values := getattr(state, name)):
                continue
            told = [before.get(id(item)) or _told(name, item) for item in values]
            kept.update(zip(map(id, values), told, strict=True))
            document[name] = [plain for _, plain, _ in told]
            sections[name] = [text for _, _, text in told]
        self._items = kept
        return Canonical(document, _joined(sections))


def _told(section: str, item: object) -> tuple[object, Item, str]:
    plain = _plain(section, item)
    return item, plain, _text(plain)


def _plain(section: str, item: object) -> dict[str, Any]:
    return ITEM_DOCUMENTS[section](item).model_dump(mode="json", exclude_defaults=True)


def _text(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _joined(sections: Mapping[str, Sequence[str]]) -> bytes:
    written = (f'"{name}":[{",".join(sections[name])}]' for name in sorted(sections) if sections[name])
    return f"{{{','.join(written)}}}".encode()


def checksum(data: bytes) -> str:
    """SHA-256 of a document's bytes, in hex."""
    return sha256(data).hexdigest()


def decode(data: bytes) -> DesiredState:
    """The sound state in a JSON or YAML document. Raises InvalidValue with every problem, each with its path."""
    return decode_plain(read_plain(data))


def read_plain(data: bytes) -> Any:
    """What JSON or YAML says, whatever that is. Raises InvalidValue when it says nothing, or too much."""
    if len(data) > LARGEST_DOCUMENT:
        raise InvalidValue([Problem("", f"{len(data)} bytes are more than the {LARGEST_DOCUMENT} allowed")])
    try:
        value = _parse(data).value
    except SettingsError as error:
        raise InvalidValue(_without_places(error.problems)) from error
    if _SURROGATE.search(data) and not _can_be_written(value):
        raise InvalidValue([Problem("", "an escape such as \\ud800 stands for half a character")])
    return value


def decode_plain(value: object) -> DesiredState:
    """The sound state in a document that is parsed already. Raises InvalidValue as `decode` does."""
    try:
        state = to_model(parse(StateDocument, value, {}))
    except SettingsError as error:
        others = problems_beside(error.problems, value)
        raise InvalidValue([*_without_places(error.problems), *others]) from error
    problems = check_state(state)
    if problems:
        raise InvalidValue(problems)
    return state


def _parse(data: bytes) -> Located:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise SettingsError([LocatedProblem("", f"is not UTF-8 text: {error}")]) from error
    if text.startswith("{"):
        try:
            return Located(json.loads(text, object_pairs_hook=_without_duplicates), {})
        except (ValueError, RecursionError):
            pass  # YAML's flow style begins like JSON, and its parser reports faults with their line
    return parse_yaml(text)


def _can_be_written(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("duplicate key")
    return mapping


def _without_places(problems: Iterable[LocatedProblem]) -> list[Problem]:
    return [
        Problem(problem.path, problem.message)
        if problem.path or problem.line is None
        else Problem("", f"line {problem.line}: {problem.message}")
        for problem in problems
    ]
