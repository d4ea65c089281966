"""Places: the folders of a file, and the processes in them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from marchproxy.cli.down.remains import Ground, Kind, Remain, Seen, judge
from marchproxy.cli.file import FileDocument, load_file
from marchproxy.cli.record import SERVICE, read_record
from marchproxy.cli.up.parts import Folders
from marchproxy.engines.envoy.handle import ProcessHandle
from marchproxy.kit.settings import SettingsError

_UNKNOWN_DRAIN = 60.0
_GRACE = 35.0  # not less than `up` itself grants a module and then the NLB beyond their drains


@dataclass(frozen=True, slots=True)
class Places:
    """Where a file's processes keep things. `patience`: seconds that a clean stop of all of them may take."""

    file: Path
    folders: Folders
    homes: tuple[Path, ...]
    patience: float

    def is_owned(self, record: Path) -> bool:
        """Whether a record is of a process of the file. Raises OSError."""
        found = read_record(record)
        return found is not None and found.fingerprint in self.names

    @property
    def names(self) -> frozenset[str]:
        """What the file is called in records: by itself, and by the copy that `up`'s parts read."""
        return frozenset({str(self.file), str(self.folders.running_file)})


@dataclass(frozen=True, slots=True)
class Held:
    """A process that is to end, held so that its pid can be nobody else's."""

    what: Remain
    handle: ProcessHandle


def find_places(file: Path, folders: Folders, environ: Mapping[str, str]) -> Places:
    """The folders of a file. Raises SettingsError when the file cannot be read and nothing of it was ever up."""
    documents = list(_documents(file, folders, environ))
    places = Places(file.absolute(), folders, (), _patience(documents))
    beside = {home for document in documents for home in _homes(document)}
    own = {path for path in folders.state.glob("*") if path.is_dir() and path != folders.logs}
    started = {home for home in beside - own if places.is_owned(home / SERVICE)}
    return Places(places.file, folders, tuple(sorted(own | started)), places.patience)


def find_processes(places: Places) -> list[Held]:
    """What runs of the file, in the order in which it is to end; each handle must be closed. Raises OSError."""
    recorded = dict(_recorded(places))
    ground = Ground(places.folders.running_file, places.homes)
    held = list(_up(places))
    for process in psutil.process_iter(["pid", "ppid", "cmdline"]):
        seen = Seen(process.info["pid"], process.info["ppid"] or 0, process.info["cmdline"] or ())
        what = judge(seen, ground, recorded.get(seen.pid))
        if what is not None and (handle := _hold(process, seen)) is not None:
            held.append(Held(what, handle))
    order = list(Kind)
    return sorted(held, key=lambda one: (order.index(one.what.kind), one.what.name))


def _hold(process: psutil.Process, seen: Seen) -> ProcessHandle | None:
    handle = ProcessHandle.open(seen.pid)
    if handle is None:
        return None
    with suppress(psutil.Error):  # it has just ended
        if process.is_running() and process.cmdline() == seen.command:
            return handle
    handle.close()
    return None


def _up(places: Places) -> Iterator[Held]:
    record = read_record(places.folders.lock)
    if record is not None and places.is_owned(places.folders.lock):
        handle = ProcessHandle.open(record.pid, start_ticks=record.start_ticks)
        if handle is not None:
            yield Held(Remain(record.pid, Kind.UP, "up"), handle)


def _recorded(places: Places) -> Iterator[tuple[int, str]]:
    for home in places.homes:
        record = read_record(home / SERVICE)
        if record is None or record.fingerprint not in places.names:
            continue
        handle = ProcessHandle.open(record.pid, start_ticks=record.start_ticks)
        if handle is not None:
            yield record.pid, home.name
            handle.close()


def _documents(file: Path, folders: Folders, environ: Mapping[str, str]) -> Iterator[FileDocument]:
    """The file as it is in force, and as it is now: either may name folders that the other does not."""
    if folders.running_file.exists():
        with suppress(SettingsError):  # of another version; the folder itself says what is in it
            yield load_file(folders.running_file, environ).document
    try:
        yield load_file(file, environ).document
    except SettingsError:
        if not folders.state.exists():
            raise


def _homes(document: FileDocument) -> Iterator[Path]:
    if document.nlb is not None:
        yield document.nlb.directory().absolute()
    if document.manager is not None:
        yield document.manager.directory().absolute()
    for module in document.modules:
        home = module.own_state_dir().absolute()
        yield home
        yield from home.parent.glob(f"{home.name}.[0-9]*")


def _patience(documents: list[FileDocument]) -> float:
    """Modules drain at the same time, the NLB after them, the manager before."""
    drains = [
        max((module.drain_seconds for module in document.modules), default=0.0)
        + (document.nlb.drain_seconds if document.nlb else 0.0)
        + (document.manager.drain_seconds if document.manager else 0.0)
        for document in documents
    ]
    return max(drains, default=_UNKNOWN_DRAIN) + _GRACE
