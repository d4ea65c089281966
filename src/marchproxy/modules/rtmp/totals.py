"""Totals: tallies as plain values, and added up over workers and over restarts of them. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from marchproxy.modules.rtmp.talk import Entry
from marchproxy.modules.rtmp.tally import Tallies, Tally, TallyKey

_NOW = ("publishers", "players")


def entries(tallies: Tallies) -> tuple[Entry, ...]:
    """The tallies of a worker as they are now."""
    return tuple(_entry(key, tally) for key, tally in tallies.kept.items())


def _entry(key: TallyKey, tally: Tally) -> Entry:
    found = {name: getattr(tally, name) for name in Tally.__slots__}
    reasons = {name: dict(value) for name, value in found.items() if isinstance(value, Counter)}
    return Entry(key, {name: value for name, value in found.items() if name not in reasons}, reasons)


def _add(total: Tally, entry: Entry, *, gone: bool = False) -> None:
    """Add an entry; of a worker that is `gone`, without what is only true now."""
    for name, number in entry.numbers.items():
        if not (gone and name in _NOW):
            setattr(total, name, getattr(total, name) + number)
    for name, counts in entry.reasons.items():
        getattr(total, name).update(counts)


class Totals:
    """What the workers have counted, those before them included. A worker is known by its index and its pid."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, tuple[Entry, ...], int]] = {}
        self._gone: dict[TallyKey, Tally] = {}
        self._accepted = 0

    def note(self, index: int, pid: int, counted: Iterable[Entry], accepted: int) -> None:
        """What a worker has counted by now, and how many clients it has accepted."""
        last = self._last.get(index)
        if last is not None and last[0] != pid:
            for entry in last[1]:
                _add(self._gone.setdefault(entry.key, Tally()), entry, gone=True)
            self._accepted += last[2]
        self._last[index] = (pid, tuple(counted), accepted)

    def accepted(self) -> int:
        """How many clients were accepted since the start."""
        return self._accepted + sum(accepted for _, _, accepted in self._last.values())

    def tallies(self) -> Mapping[TallyKey, Tally]:
        """All of them together, as new objects."""
        found: dict[TallyKey, Tally] = {}
        for key, tally in self._gone.items():
            _add(found.setdefault(key, Tally()), _entry(key, tally))
        for _, counted, _ in self._last.values():
            for entry in counted:
                _add(found.setdefault(entry.key, Tally()), entry)
        return found


def together(*parts: Mapping[TallyKey, Tally]) -> Mapping[TallyKey, Tally]:
    """Tallies of several sorts of workers added up, as new objects."""
    found: dict[TallyKey, Tally] = {}
    for part in parts:
        for key, tally in part.items():
            _add(found.setdefault(key, Tally()), _entry(key, tally))
    return found
