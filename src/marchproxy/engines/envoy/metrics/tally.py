"""Tally: counts that go on when Envoy starts anew, in a bounded number of series. No I/O.

A counter is added up by what it grew since the last reading, so it never goes back, whatever becomes of Envoy, of a
route, or of who has a series of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.engines.envoy.metrics.buckets import Distribution
from marchproxy.engines.envoy.metrics.family import Family, Kind, Labels
from marchproxy.engines.envoy.metrics.source import Cell, Source

#: What things are called that have no series of their own.
OTHER = "other"
#: How many things of one label have series of their own, unless told.
MOST = 500


@dataclass(slots=True)
class Series:
    """One series; a histogram's value is its distribution."""

    family: Family
    labels: Labels
    thing: tuple[str, str] = ("", "")
    value: int = 0
    distribution: Distribution = Distribution()


@dataclass(slots=True)
class _Entry:
    """A statistic: where it is counted, and what it stood at. `complete`: no thing that it tells of is unknown."""

    series: tuple[Series, ...] = ()
    complete: bool = False
    value: int = 0
    distribution: Distribution = Distribution()


@dataclass(slots=True)
class Tally:
    """What Envoy counted, since this process first looked. `most`: of the things of one label that have own series."""

    sources: Sequence[Source]
    most: int = MOST
    _series: dict[tuple[Family, Labels], Series] = field(init=False, default_factory=dict)
    _numbers: dict[str, _Entry] = field(init=False, default_factory=dict)
    _histograms: dict[str, _Entry] = field(init=False, default_factory=dict)
    _named: dict[str, set[str]] = field(init=False, default_factory=dict)
    _sharing: dict[str, set[str]] = field(init=False, default_factory=dict)
    _known: Mapping[str, frozenset[str]] = field(init=False, default_factory=dict)
    _generation: object = field(init=False, default=None)

    def __post_init__(self) -> None:
        for source in self.sources:
            if not source.label:  # there is one thing only, so its counts stand at 0 from the start
                for cell in source.cells.values():
                    self._find(cell, "", "")

    def know(self, known: Mapping[str, frozenset[str]]) -> None:
        """The things that there are, by label; the series of others end. A label left out: whatever Envoy names."""
        if known == self._known:
            return
        self._known = known
        for label, things in known.items():
            self._named[label] = self._named.get(label, set()) & things
            self._sharing[label] = self._sharing.get(label, set()) & things
        self._series = {
            key: series
            for key, series in self._series.items()
            if series.thing[1] in {"", OTHER} or series.thing[1] in self._named.get(series.thing[0], ())
        }
        kept = {id(series) for series in self._series.values()}
        for entries in (self._numbers, self._histograms):
            for name, entry in entries.items():
                if not entry.complete or any(id(series) not in kept for series in entry.series):
                    self._resolve(name, entry)  # of a thing that went, or that may have come

    def add(
        self,
        values: Mapping[str, int],
        generation: object,
        histograms: Mapping[str, Distribution] | None = None,
    ) -> None:
        """Count one reading of the process `generation`; another one than before began at 0.

        `values` are all there are; `histograms` may be left out where they were not asked for.
        """
        if generation != self._generation:
            self._generation = generation
            for entry in (*self._numbers.values(), *self._histograms.values()):
                entry.value, entry.distribution = 0, Distribution()
        self._add_numbers(values)
        if histograms is not None:
            self._add_histograms(histograms)

    def _add_numbers(self, values: Mapping[str, int]) -> None:
        for series in self._series.values():
            if series.family.kind is Kind.GAUGE:
                series.value = 0
        entries = self._numbers
        for name in entries.keys() - values.keys():
            del entries[name]
        for name, value in values.items():
            entry = entries.get(name) or self._enter(name, entries)
            grown = value - entry.value if value >= entry.value else value
            entry.value = value
            for counted in entry.series:
                counted.value += value if counted.family.kind is Kind.GAUGE else grown

    def _add_histograms(self, histograms: Mapping[str, Distribution]) -> None:
        entries = self._histograms
        for name in entries.keys() - histograms.keys():
            del entries[name]
        for name, now in histograms.items():
            entry = entries.get(name) or self._enter(name, entries)
            if now != entry.distribution:
                grown = now.since(entry.distribution)
                for counted in entry.series:
                    counted.distribution = counted.distribution.plus(grown)
                entry.distribution = now

    def families(self) -> Iterator[tuple[Family, list[Series]]]:
        """Every family with its series, in the order of the table."""
        grouped: dict[Family, list[Series]] = {
            cell.family: [] for source in self.sources for cell in source.cells.values()
        }
        for series in self._series.values():
            grouped[series.family].append(series)
        yield from grouped.items()

    def _enter(self, name: str, entries: dict[str, _Entry]) -> _Entry:
        entry = entries[name] = _Entry()
        self._resolve(name, entry)
        return entry

    def _resolve(self, name: str, entry: _Entry) -> None:
        """Find the series: one for each label that a source reads the statistic by."""
        series: dict[str, Series] = {}
        entry.complete = True
        for source in self.sources:
            if source.label in series or (found := source.read(name)) is None:
                continue
            thing, cell = found
            known = self._known.get(source.label)
            if source.label and known is not None and thing not in known:
                entry.complete = False
            else:
                series[source.label] = self._find(cell, source.label, self._admitted(source.label, thing))
        entry.series = tuple(series.values())

    def _admitted(self, label: str, thing: str) -> str:
        """The thing, or what those are called that came when there were enough; which they stay as long as they are."""
        named, sharing = self._named.setdefault(label, set()), self._sharing.setdefault(label, set())
        if thing in sharing or (label and thing not in named and len(named) >= self.most):
            sharing.add(thing)
            return OTHER
        named.add(thing)
        return thing

    def _find(self, cell: Cell, label: str, thing: str) -> Series:
        labels = ((label, thing), *cell.labels) if label else cell.labels
        key = (cell.family, labels)
        if key not in self._series:
            self._series[key] = Series(cell.family, labels, (label, thing))
        return self._series[key]
