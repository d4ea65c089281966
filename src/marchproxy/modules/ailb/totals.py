"""Totals: tallies as plain values, and added up over restarts of the decider. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from marchproxy.modules.ailb.tally import Tallies, Tally, TallyKey, Times


@dataclass(frozen=True, slots=True)
class Entry:
    """A tally as it travels: its counts by their names; of times the buckets and the sum."""

    key: TallyKey
    numbers: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, tuple[tuple[int, ...], float]] = field(default_factory=dict)
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def entries(tallies: Tallies) -> tuple[Entry, ...]:
    """The tallies as they are now."""
    return tuple(_entry(key, tally) for key, tally in tallies.kept.items())


class Totals:
    """What deciders have counted, those before the one that runs included."""

    def __init__(self) -> None:
        self._last: tuple[int, tuple[Entry, ...]] = (0, ())
        self._gone: dict[TallyKey, Tally] = {}

    def note(self, pid: int, counted: Iterable[Entry]) -> None:
        """What the decider of this pid has counted by now."""
        if self._last[0] != pid:
            self._add_all(self._gone, self._last[1])
        self._last = pid, tuple(counted)

    def tallies(self) -> Mapping[TallyKey, Tally]:
        """All of them together, as new objects."""
        found: dict[TallyKey, Tally] = {}
        self._add_all(found, (_entry(key, tally) for key, tally in self._gone.items()))
        self._add_all(found, self._last[1])
        return found

    @staticmethod
    def _add_all(totals: dict[TallyKey, Tally], counted: Iterable[Entry]) -> None:
        for entry in counted:
            _add(totals.setdefault(entry.key, Tally()), entry)


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


def _add(total: Tally, entry: Entry) -> None:
    for name, number in entry.numbers.items():
        setattr(total, name, getattr(total, name) + number)
    for name, (buckets, seconds) in entry.times.items():
        times: Times = getattr(total, name)
        times.buckets = [one + other for one, other in zip(times.buckets, buckets, strict=True)]
        times.total += seconds
    for name, counts in entry.counters.items():
        getattr(total, name).update(counts)
