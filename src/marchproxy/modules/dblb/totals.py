"""Totals: tallies as plain values, and added up over workers and over restarts of them. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from marchproxy.modules.dblb.tally import Tallies, Tally, TallyKey, Times


@dataclass(frozen=True, slots=True)
class Entry:
    """A tally as it travels: its counts by their names."""

    key: TallyKey
    numbers: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, tuple[tuple[int, ...], float]] = field(default_factory=dict)
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def entries(tallies: Tallies) -> tuple[Entry, ...]:
    """The tallies of a worker as they are now."""
    return tuple(_entry(key, tally) for key, tally in tallies.kept.items())


def _entry(key: TallyKey, tally: Tally) -> Entry:
    numbers: dict[str, int] = {}
    times: dict[str, tuple[tuple[int, ...], float]] = {}
    counters: dict[str, Mapping[str, int]] = {}
    for name in Tally.__slots__:
        match getattr(tally, name):
            case Times() as found:
                times[name] = tuple(found.buckets), found.total
            case Counter() as found:
                counters[name] = dict(found)
            case found:
                numbers[name] = found
    return Entry(key, numbers, times, counters)


def _add(total: Tally, entry: Entry, *, gone: bool = False) -> None:
    """Add an entry; of a worker that is `gone`, without what is only true now."""
    for name, number in entry.numbers.items():
        if not (gone and name == "clients"):
            setattr(total, name, getattr(total, name) + number)
    for name, (buckets, seconds) in entry.times.items():
        times: Times = getattr(total, name)
        times.buckets = [one + other for one, other in zip(times.buckets, buckets, strict=True)]
        times.total += seconds
    for name, counts in entry.counters.items():
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
