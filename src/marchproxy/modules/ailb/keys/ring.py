"""Key ring: whose key it is that a client shows, and what its owner may ask for. Pure.

What is looked for is a key's SHA-256, so the time that it takes says nothing of the keys that there are. A client that shows a
key that is unknown, switched off or expired is told the same: whether there is such a key is nobody's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from marchproxy.model.ai import VirtualKey
from marchproxy.model.model_names import ModelPatterns
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.keys.making import digest
from marchproxy.modules.ailb.ledger.periods import nanoseconds

_NONE = Failure(
    Reason.NO_KEY, "no API key was given: send it as `Authorization: Bearer KEY`, or in the header x-api-key"
)
#: OpenAI's own words: LiteLLM takes what has others for a bad request.
_WRONG = Failure(Reason.NO_KEY, "Incorrect API key provided")
#: Characters; a longer text is no key, and not worth a hash.
_LONGEST = 512


class Standing(Enum):
    """What is the matter with a key that was shown; for logs and counts, not for clients."""

    GOOD = "good"
    MISSING = "missing"
    UNKNOWN = "unknown"
    DISABLED = "disabled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class _Kept:
    key: VirtualKey
    expires: int | None
    models: ModelPatterns | None


class KeyRing:
    """All keys that are known: the document's, and those of a file. Of two with one hash, or one id, the first counts."""

    def __init__(self, keys: Iterable[VirtualKey]) -> None:
        self._by_hash: dict[str, _Kept] = {}
        self._by_id: dict[str, _Kept] = {}
        for key in keys:
            if key.hash not in self._by_hash and key.key_id not in self._by_id:
                self._by_hash[key.hash] = self._by_id[key.key_id] = _kept(key)

    def __len__(self) -> int:
        return len(self._by_hash)

    def look(self, shown: str, now: int) -> tuple[Standing, VirtualKey | None]:
        """What there is to say of a key (empty: none) at a time in nanoseconds since the epoch, and whose it is or was."""
        if not shown:
            return Standing.MISSING, None
        kept = self._by_hash.get(digest(shown)) if len(shown) <= _LONGEST else None
        if kept is None:
            return Standing.UNKNOWN, None
        if not kept.key.enabled:
            return Standing.DISABLED, kept.key
        if kept.expires is not None and now >= kept.expires:
            return Standing.EXPIRED, kept.key
        return Standing.GOOD, kept.key

    def find(self, shown: str, now: int) -> VirtualKey | Failure:
        """Whose the key is, or what the client is told."""
        standing, key = self.look(shown, now)
        if key is not None and standing is Standing.GOOD:
            return key
        return _NONE if standing is Standing.MISSING else _WRONG

    def permits(self, key: VirtualKey, model: str) -> bool:
        """Whether the key's owner may ask for the model; not, when the key is gone."""
        kept = self._by_id.get(key.key_id)
        return kept is not None and (kept.models is None or model in kept.models)


def _kept(key: VirtualKey) -> _Kept:
    expires = nanoseconds(key.expires) if key.expires else None
    return _Kept(key, expires, ModelPatterns(key.models) if key.models else None)
