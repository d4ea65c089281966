"""Answers: what was answered, by key, for a time. Pure; times in nanoseconds.

In the memory of the one process that decides. A store outside would be asked where `find` is, and the decision would wait for it as it
does for guardrails that ask others.
"""

from collections import OrderedDict
from dataclasses import dataclass

#: Bytes that an answer takes beside its body.
_BESIDE = 400


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer of status 200, whole, or a whole stream. `until`: when it is too old."""

    content_type: str
    body: bytes
    until: int


class Answers:
    """At most `most_bytes` in sum; those that nobody has wanted for longest go first."""

    def __init__(self, most_bytes: int = 128 * 1024 * 1024) -> None:
        self._most = most_bytes
        self._size = 0
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def find(self, key: str, now: int) -> Kept | None:
        """The answer, unless it is too old."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until <= now:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: str, answer: Kept) -> None:
        """Keep one, in place of an older one."""
        self._drop(key)
        size = _size(answer)
        if size > self._most:
            return
        self._kept[key] = answer
        self._size += size
        while self._size > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._size -= _size(gone)


def _size(answer: Kept) -> int:
    return _BESIDE + len(answer.body)
