"""Memory: what was judged before, by digest, as long as the judge is the same binary. Bounded; no I/O."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable

_FEWEST = 65_536
_MOST_REFUSED = 1_024


class Memory:
    """Verdicts on digests. The sound ones that were not asked for longest are forgotten first."""

    def __init__(self, most: int = _FEWEST) -> None:
        """`most`: sound digests that are remembered; beyond, as many as were asked for at once last."""
        self._most = most
        self._sound: OrderedDict[bytes, None] = OrderedDict()
        self._refused: OrderedDict[bytes, str] = OrderedDict()
        self._judge: Hashable = None

    def of(self, judge: Hashable) -> None:
        """Forget everything when the judge is another one than before."""
        if judge != self._judge:
            self._judge = judge
            self._sound.clear()
            self._refused.clear()

    def unknown(self, digests: Iterable[bytes]) -> set[bytes]:
        """Those of the digests without a verdict; the others count as asked for."""
        wanted = set(digests)
        found = {digest for digest in wanted if digest in self._sound}
        for digest in found:
            self._sound.move_to_end(digest)
        return {digest for digest in wanted - found if digest not in self._refused}

    @property
    def has_refused(self) -> bool:
        """Whether a refusal is remembered."""
        return bool(self._refused)

    def reason(self, digest: bytes) -> str | None:
        """Why the digest was refused; None when it was not."""
        return self._refused.get(digest)

    def pass_(self, digests: Iterable[bytes]) -> None:
        """Note sound ones."""
        fresh = tuple(digests)
        self._sound.update(dict.fromkeys(fresh))
        while len(self._sound) > max(self._most, 2 * len(fresh)):
            self._sound.popitem(last=False)

    def refuse(self, digest: bytes, reason: str) -> None:
        """Note a refusal."""
        self._refused[digest] = reason
        while len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)
