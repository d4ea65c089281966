"""Own answers: what the decider answers by itself, kept until Envoy fetches it. Pure; times in nanoseconds."""

from collections import OrderedDict
from dataclasses import dataclass

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Own:
    """A whole answer of status 200. `fields`: beside the type of its content."""

    body: bytes
    content_type: str = "application/json"
    fields: tuple[tuple[str, str], ...] = ()


class OwnAnswers:
    """Answers by id for some `seconds`, of at most `most_bytes` in sum: the oldest go first."""

    def __init__(self, *, seconds: float = 60.0, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._for = int(seconds * _SECOND)
        self._most = most_bytes
        self._size = 0
        self._held: OrderedDict[str, tuple[int, Own]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def put(self, name: str, answer: Own, now: int) -> None:
        """Keep one."""
        self.sweep(now)
        if name in self._held:
            self._size -= len(self._held.pop(name)[1].body)
        self._held[name] = now, answer
        self._size += len(answer.body)
        while self._size > self._most and len(self._held) > 1:
            self._drop()

    def get(self, name: str) -> Own | None:
        """One that is kept; it stays, since Envoy may ask twice."""
        found = self._held.get(name)
        return found[1] if found else None

    def sweep(self, now: int) -> None:
        """Forget what nobody has fetched."""
        while self._held and now - next(iter(self._held.values()))[0] > self._for:
            self._drop()

    def _drop(self) -> None:
        _, (_, answer) = self._held.popitem(last=False)
        self._size -= len(answer.body)
