"""What can still be checked in a document that has faults of form, so that its author hears of everything at once."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from marchproxy.contract.document.convert import to_model
from marchproxy.contract.document.schema import StateDocument
from marchproxy.kit.settings import Problem as LocatedProblem
from marchproxy.model.checks import check_state
from marchproxy.model.http import AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.model.problem import Problem

# an item with a fault is replaced by one that keeps its name, so that what refers to it still finds it
_STAND_INS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "listeners": ("name", {"address": "0.0.0.0:0"}),
    "routes": ("id", {"priority": -(2**31)}),  # overlaps nothing
    "pools": ("name", {"ai": {}}),  # so that models find it too
    "rate_limits": ("id", {"target": ""}),
    "scaling": ("module", {}),
    "authentication": ("name", {"kind": "basic"}),
    "virtual_keys": ("id", {"hash": "0" * 64}),
    "allowances": ("id", {"target": ""}),
    "prices": ("model", {}),
    "guardrails": ("name", {"kind": "injection"}),
}
#: What an item with a fault is by, for the items that refer to it: a key, and the words that it may have.
_KINDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "routes": ("protocol", frozenset(protocol.value for protocol in Protocol)),
    "pools": ("protocol", frozenset(protocol.value for protocol in Protocol)),
    "authentication": ("kind", frozenset(kind.value for kind in AuthenticationKind)),
}
_ITEM = re.compile(r"(?P<section>\w+)\[(?P<index>\d+)\]")


def problems_beside(faults: Iterable[LocatedProblem], value: object) -> list[Problem]:
    """The problems of soundness in the parts of a parsed document that `faults` of form do not touch.

    Nothing when too little is left to judge by: a section that is not a list, an unknown one, an item without a name.
    """
    try:
        broken = set(_broken_items(faults))
        document = StateDocument.model_validate(_with_stand_ins(value, broken))
    except (_CannotTell, ValidationError):
        return []
    touched = tuple(f"{section}[{index}]" for section, index in broken)
    return [problem for problem in check_state(to_model(document)) if not problem.path.startswith(touched)]


class _CannotTell(Exception):
    pass


def _broken_items(faults: Iterable[LocatedProblem]) -> Iterator[tuple[str, int]]:
    for fault in faults:
        item = _ITEM.match(fault.path)
        if item is not None and item["section"] in _STAND_INS:
            yield item["section"], int(item["index"])
        elif item is None and "." not in fault.path:
            raise _CannotTell


def _with_stand_ins(value: object, broken: set[tuple[str, int]]) -> dict[str, list[Any]]:
    if not isinstance(value, dict):
        raise _CannotTell
    sections = {section: list(value.get(section) or ()) for section in _STAND_INS}
    for section, index in broken:
        key, rest = _STAND_INS[section]
        item = sections[section][index] if index < len(sections[section]) else None
        name = item.get(key) if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise _CannotTell
        sections[section][index] = {key: name, **rest, **_kind_of(section, item)}
    return sections


def _kind_of(section: str, item: object) -> dict[str, str]:
    key, words = _KINDS.get(section, ("", frozenset()))
    word = item.get(key) if isinstance(item, dict) else None
    return {key: word} if isinstance(word, str) and word in words else {}
