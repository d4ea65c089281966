"""Journal: what the autoscaler decided and why, bounded, and on disk so that a restart does not lose the reasons."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.model.autoscaling import Decision, Kind
from marchproxy.model.module import ModuleType

_log = get_logger(__name__)
MOST_ENTRIES = 100  # of each type
_UNDER_WAY = "under way"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision, and what came of it; `manual`: asked for over TriggerScaling."""

    at: datetime
    decision: Decision
    outcome: str = ""
    manual: bool = False

    def __str__(self) -> str:
        who = "by request, " if self.manual else ""
        return f"{who}{self.decision}" + (f" ({self.outcome})" if self.outcome else "")

    def begun(self) -> "Entry":
        """The same, being carried out."""
        return replace(self, outcome=_UNDER_WAY)


class Journal:
    """The last entries of each type. Of decisions in a row that change nothing, the last is kept."""

    def __init__(self, path: Path | None = None) -> None:
        """Go on with what is in the file; without one nothing is kept on disk."""
        self._path = path
        self._entries: dict[ModuleType, deque[Entry]] = defaultdict(lambda: deque(maxlen=MOST_ENTRIES))
        self._dirty = False
        for kind, entries in _load(path).items():
            self._entries[kind].extend(entries)

    def of(self, kind: ModuleType) -> tuple[Entry, ...]:
        """The entries of a type, the newest last."""
        return tuple(self._entries[kind]) if kind in self._entries else ()

    def all(self) -> list[tuple[ModuleType, Entry]]:
        """Every entry, the newest last."""
        found = [(kind, entry) for kind, entries in self._entries.items() for entry in entries]
        return sorted(found, key=lambda item: item[1].at)

    def add(self, kind: ModuleType, entry: Entry) -> None:
        """Write down a decision."""
        entries = self._entries[kind]
        if entries and entry.decision.kind is Kind.HOLD and entries[-1].decision.kind is Kind.HOLD:
            same = entries.pop().decision == entry.decision
            self._dirty = self._dirty or not same  # the time alone is not worth a write
        else:
            self._dirty = True
        entries.append(entry)

    def conclude(self, kind: ModuleType, entry: Entry) -> None:
        """Replace the newest entry of a type: it is known now what came of it."""
        self._entries[kind][-1] = entry
        self._dirty = True

    async def save(self) -> None:
        """Write to disk what is new. A disk that refuses is logged: it costs reasons, not instances."""
        if self._path is None or not self._dirty:
            return
        self._dirty = False
        try:
            await asyncio.to_thread(write_atomically, self._path, self._dump())
        except OSError as error:
            _log.error("scaling decisions could not be saved", file=str(self._path), reason=str(error))

    def _dump(self) -> bytes:
        entries = [
            {"type": kind.value, **_entry_to_json(entry)}
            for kind, entries in self._entries.items()
            for entry in entries
        ]
        return json.dumps({"format": _FORMAT, "entries": entries}, indent=1).encode()


def _load(path: Path | None) -> Mapping[ModuleType, list[Entry]]:
    if path is None or not path.exists():
        return {}
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']} is not {_FORMAT}")
        found: dict[ModuleType, list[Entry]] = {}
        for item in document["entries"]:
            found.setdefault(ModuleType(item["type"]), []).append(_entry_from_json(item))
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.error(
            "saved scaling decisions are damaged; starting without", file=str(path), reason=repr(error)
        )
        return {}
    return found


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    decision = entry.decision
    return {
        "at": entry.at.isoformat(),
        "way": decision.kind.value,
        "from": decision.from_,
        "to": decision.to,
        "reason": decision.reason,
        "outcome": entry.outcome,
        "manual": entry.manual,
    }


def _entry_from_json(item: Mapping[str, Any]) -> Entry:
    decision = Decision(Kind(item["way"]), int(item["from"]), int(item["to"]), str(item["reason"]))
    outcome = str(item["outcome"])
    if outcome == _UNDER_WAY:
        outcome = "abandoned: the NLB was restarted"
    return Entry(datetime.fromisoformat(item["at"]), decision, outcome, bool(item["manual"]))
