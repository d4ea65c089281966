"""The document as bytes between parts: canonical when written, strict when read."""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from marchproxy.contract.document.convert import ITEM_DOCUMENTS, to_model
from marchproxy.contract.document.partial import problems_beside
from marchproxy.contract.document.schema import StateDocument
from marchproxy.kit.settings import Located, Section, SettingsError, parse, parse_yaml
from marchproxy.kit.settings import Problem as LocatedProblem
from marchproxy.model.checks import check_state
from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.model.state import DesiredState

#: Bytes of the largest document that is read: some 20,000 routes.
LARGEST_DOCUMENT = 8 * 1024 * 1024


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
        sections = []
        for name in sorted(ITEM_DOCUMENTS):
            texts = []
            for item in getattr(state, name):
                known = before.get(id(item)) or (item, _text(ITEM_DOCUMENTS[name](item)))
                kept[id(item)] = known
                texts.append(known[1])
            if texts:
                sections.append(f'"{name}":[{",".join(texts)}]')
        self._texts = kept
        return f"{{{','.join(sections)}}}".encode()


def _text(document: Section) -> str:
    plain = document.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def checksum(data: bytes) -> str:
    """SHA-256 of a document's bytes, in hex."""
    return sha256(data).hexdigest()


def decode(data: bytes) -> DesiredState:
    """The sound state in a JSON or YAML document. Raises InvalidValue with every problem, each with its path."""
    if len(data) > LARGEST_DOCUMENT:
        raise InvalidValue([Problem("", f"{len(data)} bytes are more than the {LARGEST_DOCUMENT} allowed")])
    try:
        located = _parse(data)
    except SettingsError as error:
        raise InvalidValue(_without_places(error.problems)) from error
    try:
        state = to_model(parse(StateDocument, located.value, located.lines))
    except SettingsError as error:
        others = problems_beside(error.problems, located.value)
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
