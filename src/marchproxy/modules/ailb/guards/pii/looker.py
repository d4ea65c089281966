"""Looker: everything that a PII guardrail looks for, in one go. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

from marchproxy.modules.ailb.guards.pii import addresses, keys, numbers, phones
from marchproxy.modules.ailb.guards.span import Span, add

#: The places of one entity between two numbers, in a text.
Find: TypeAlias = Callable[[str, int, int], Iterator[tuple[int, int]]]

#: Who says most of a place comes first: a card's number could be a telephone's.
_FINDERS: Mapping[str, Find] = {
    "api_key": keys.find_keys,
    "email": addresses.find_emails,
    "iban": numbers.find_ibans,
    "credit_card": numbers.find_cards,
    "us_ssn": numbers.find_ssns,
    "ip_address": addresses.find_ips,
    "phone": phones.find_phones,
}
_LONGEST_NUMBER = 400


class PiiLooker:
    """Looks for these entities."""

    step = 4096
    skips: frozenset[str] = frozenset()

    def __init__(self, entities: Collection[str]) -> None:
        self._reach = keys.LONGEST if "api_key" in entities else _LONGEST_NUMBER
        self._finders = [(entity, find) for entity, find in _FINDERS.items() if entity in entities]

    def look(self, text: str, start: int, end: int) -> list[Span]:
        """As a Looker's."""
        stop = min(len(text), end + self._reach)
        found: list[Span] = []
        for entity, find in self._finders:
            for first, last in find(text, start, stop):
                if first >= end:
                    break
                add(found, Span(first, last, entity))
        return found
