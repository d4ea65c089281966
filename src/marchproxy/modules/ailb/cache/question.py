"""Question: which requests are the same, and what a client wishes of a cache. Pure.

https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.ledger.who import Who

#: What changes nothing of an answer. The model is in the key under the name by which it is known here.
_IRRELEVANT = frozenset(
    {"model", "user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
#: With any of these an answer goes by what the provider has kept, or is itself kept there.
_OF_STATE = ("conversation", "previous_response_id", "background", "store")


class Wish(Enum):
    """What a client wants of the cache: both an answer and its own kept; a fresh one; or nothing to do with it."""

    ALL = "all"
    FRESH = "no-cache"
    NOTHING = "no-store"


@dataclass(frozen=True, slots=True)
class Question:
    """A request. `model`: its one name; `targets`: who may answer, as what: others' answers are others; `beside`: what it says
    outside of its body that answers go by."""

    route: str
    who: Who
    model: str
    targets: Sequence[tuple[str, str]]
    beside: tuple[str, ...]
    asked: Asked


def wish_of(cache_control: str) -> Wish:
    """What the header says; `max-age=0` asks for a fresh one, too."""
    words = {word.strip().lower() for word in cache_control.split(",")}
    if "no-store" in words:
        return Wish.NOTHING
    return Wish.FRESH if words & {"no-cache", "max-age=0"} else Wish.ALL


def key_of(question: Question) -> str:
    """The same for the same requests of one scope; empty: the answer is not to be kept.

    The scope is a team, or the key of who has none: what somebody was told is for nobody else. Requests without a key share one.
    """
    asked = question.asked
    members = asked.body.members
    if any(members.get(name) for name in _OF_STATE) or isinstance(members.get("prompt"), dict):
        return ""
    who = question.who
    parts = (
        ("team", who.team) if who.team else ("key", who.key),
        question.route,
        asked.operation.value,
        question.model,
        question.targets,
        question.beside,
        {name: value for name, value in members.items() if name not in _IRRELEVANT},
    )
    try:
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        return ""
    return sha256(canonical.encode()).hexdigest()
