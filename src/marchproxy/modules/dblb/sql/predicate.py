"""Conditions that do not depend on data: 1=1, 'a'='a', OR TRUE. Pure, and the same for every dialect."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from operator import eq, ge, gt, le, lt, ne


class Truth(Enum):
    """What is known of one condition."""

    ALWAYS = auto()
    NEVER = auto()
    FIXED = auto()
    """It has constants only, and was not worked out."""
    OPEN = auto()
    """It depends on data or parameters."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions joined by `and`, `or`; or negated by `not`."""

    word: str
    parts: tuple["Condition", ...]


Condition = Truth | Joined


@dataclass(frozen=True, slots=True)
class Finding:
    """What a WHERE is."""

    truth: Truth
    tautology: bool
    constant: bool
    """No condition in it is fixed."""


_COMPARE: dict[str, Callable[[object, object], bool]] = {"=": eq, "<>": ne, "!=": ne}
_ORDER: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_REFLEXIVE = frozenset({"=", "<=", ">=", "like", "<=>"})


def compare(word: str, left: object, right: object) -> Truth:
    """Two literals compared; strings only for equality, since collation is the server's."""
    if type(left) is not type(right):
        return Truth.FIXED
    if word in _COMPARE:
        return _known(_COMPARE[word](left, right))
    if word in _ORDER and isinstance(left, int | float) and isinstance(right, int | float):
        return _known(_ORDER[word](left, right))
    return Truth.FIXED


def same(word: str) -> Truth:
    """An expression compared with itself."""
    return Truth.ALWAYS if word in _REFLEXIVE else Truth.OPEN


def examine(where: Condition) -> Finding:
    """What is known of a whole WHERE; raises RecursionError when it is nested too deeply."""
    outer = where.parts if isinstance(where, Joined) and where.word == "and" else (where,)
    whole = _truth(where)
    fixed = {Truth.ALWAYS, Truth.FIXED}
    inner = any(isinstance(part, Joined) and not fixed.isdisjoint(_leaves(part)) for part in outer)
    leaves = _leaves(where)
    return Finding(whole, inner or whole in fixed, leaves <= {Truth.OPEN})


def _leaves(condition: Condition) -> set[Truth]:
    if isinstance(condition, Truth):
        return {condition}
    found = {truth for part in condition.parts for truth in _leaves(part)}
    if condition.word == "not":  # NOT 1=2 is 1=1
        return {_negated(truth) for truth in found}
    return found


def _truth(condition: Condition) -> Truth:
    if isinstance(condition, Truth):
        return condition
    parts = {_truth(part) for part in condition.parts}
    if condition.word == "not":
        return _negated(parts.pop())
    wins, loses = (Truth.ALWAYS, Truth.NEVER) if condition.word == "or" else (Truth.NEVER, Truth.ALWAYS)
    if wins in parts:
        return wins
    parts.discard(loses)
    if not parts:
        return loses
    if condition.word == "or" and Truth.FIXED in parts:
        return Truth.FIXED
    return Truth.OPEN if Truth.OPEN in parts else Truth.FIXED


def _negated(truth: Truth) -> Truth:
    return {Truth.ALWAYS: Truth.NEVER, Truth.NEVER: Truth.ALWAYS}.get(truth, truth)


def _known(value: bool) -> Truth:  # noqa: FBT001 - it is the value
    return Truth.ALWAYS if value else Truth.NEVER
