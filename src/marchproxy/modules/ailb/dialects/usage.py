"""What an answer says it used: in its body, or in the events of its stream. Numbers that are none count as none."""

from typing import Any

from marchproxy.model.ai import Dialect
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.dialects.body import BadJson, load

_USAGE = b'"usage"'
#: Tokens that no request has: whoever says so has lost count, and is not to spend everybody's money.
MOST_TOKENS = 1_000_000_000


class Tally:
    """What one answer has used so far, told by the data of its events. OpenAI's last word counts; Anthropic tells what was
    read in the first event and what was written in the last, and whatever it tells again replaces what it told.
    """

    __slots__ = ("_anthropic", "_told")

    def __init__(self, dialect: Dialect) -> None:
        self._anthropic = dialect is Dialect.ANTHROPIC
        self._told: dict[str, Any] = {}

    def see(self, data: bytes) -> None:
        """The data of an event, or a whole answer. What is no JSON tells nothing."""
        if _USAGE in data:
            try:
                self.take(load(data))
            except BadJson:
                return

    def take(self, document: object) -> None:
        """As `see`, of what is read already."""
        told = _usage_of(document)
        if told is None:
            return
        if self._anthropic:
            self._told |= {name: value for name, value in told.items() if value is not None}
        else:
            self._told = told

    @property
    def told(self) -> dict[str, Any]:
        """The provider's own numbers, by its names."""
        return self._told

    @property
    def usage(self) -> Usage | None:
        """None: nothing was told."""
        told = self._told
        if not told:
            return None
        return _anthropics(told) if self._anthropic else _openais(told)


def of_answer(dialect: Dialect, data: bytes) -> Usage | None:
    """What a whole answer says; None: nothing."""
    tally = Tally(dialect)
    tally.see(data)
    return tally.usage


def count(value: object) -> int:
    """A number of tokens; 0 for what is none, or can be none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST_TOKENS else 0


def details(told: dict[str, Any], name: str) -> dict[str, Any]:
    """An object within the numbers; an empty one where there is none."""
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _usage_of(document: object) -> dict[str, Any] | None:
    """At the top; in `message` of Anthropic's first event; in `response` of OpenAI's responses."""
    if not isinstance(document, dict):
        return None
    for place in (document, document.get("message"), document.get("response")):
        if isinstance(place, dict) and isinstance(told := place.get("usage"), dict):
            return told
    return None


def _openais(told: dict[str, Any]) -> Usage:
    """Completions and embeddings count `prompt_tokens`, responses `input_tokens`; the cached are among them."""
    read = count(told.get("prompt_tokens")) or count(told.get("input_tokens"))
    written = count(told.get("completion_tokens")) or count(told.get("output_tokens"))
    within = details(told, "prompt_tokens_details") or details(told, "input_tokens_details")
    return Usage(read, written, min(count(within.get("cached_tokens")), read))


def _anthropics(told: dict[str, Any]) -> Usage:
    """What is read from the cache, or written to it, is counted beside `input_tokens`."""
    cached = count(told.get("cache_read_input_tokens"))
    read = count(told.get("input_tokens")) + cached + count(told.get("cache_creation_input_tokens"))
    return Usage(read, count(told.get("output_tokens")), cached)
