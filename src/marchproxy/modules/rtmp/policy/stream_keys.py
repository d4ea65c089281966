"""Stream keys: the file of who may publish or play what by showing a key. Pure.

Of keys only digests are kept, and only digests are compared: how long a look-up takes says nothing of any key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from marchproxy.model.glob import is_meant
from marchproxy.model.streams import StreamKey

_LONGEST_KEY = 1024


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """Patterns of `app/stream` by the digest of the key that opens them."""

    patterns: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def open(self, key: StreamKey, shown: str) -> bool:
        """Whether what is shown is a key of the stream."""
        if len(shown) > _LONGEST_KEY:
            return False
        found = self.patterns.get(_digest(shown), ())
        return bool(found) and is_meant(f"{key.app}/{key.name}", found)


def read_stream_keys(content: bytes) -> StreamKeys:
    """What lines of `PATTERN:KEY` say. Raises ValueError, which names the line and none of its secrets."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    patterns: dict[bytes, tuple[str, ...]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        pattern, colon, key = said.partition(":")
        if not colon or "/" not in pattern:
            raise ValueError(
                f"line {number} is no PATTERN:KEY with a pattern of app/stream, such as live/cam*:KEY"
            )
        if not 0 < len(key) <= _LONGEST_KEY:
            raise ValueError(f"line {number}: a key has 1 to {_LONGEST_KEY} characters")
        digest = _digest(key)
        patterns[digest] = (*patterns.get(digest, ()), pattern)
    return StreamKeys(patterns)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
