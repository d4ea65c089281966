"""The manager of this machine: found by the records that managers leave beside their local keys."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from marchproxy.cli.file import load_settings
from marchproxy.cli.manager.local import local_place
from marchproxy.cli.manager.place import ManagerAway, Place
from marchproxy.cli.record import SERVICE, read_record
from marchproxy.cli.up.parts import Folders
from marchproxy.engines.envoy.handle import ProcessHandle
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.kit.files import default_state_dir
from marchproxy.kit.settings import SettingsError
from marchproxy.manager.places import LOCAL_KEY


def manager_here(file: Path | None, environ: Mapping[str, str]) -> Place:
    """The one manager that runs on this machine, or that of `file`. Raises ManagerAway, SettingsError.

    The record beside each local key says which process it is of, and which file that reads.
    """
    return _choose(list(_local_keys(default_state_dir(environ), file, environ)), file)


def manager_of(key: Path) -> Place:
    """The manager whose local key this is. Raises ManagerAway, SettingsError."""
    record = _running(key)
    if record is None:
        raise ManagerAway(f"{key}: no manager runs in that folder; where it is elsewhere, add --manager URL")
    return _by_key(key, record)


def _choose(keys: Sequence[Path], file: Path | None) -> Place:
    running = {key: record for key in keys if (record := _running(key)) is not None}
    own = [key for key, record in running.items() if file is not None and _is_of(record, key, file)]
    found = own or list(running)
    if not found:
        raise ManagerAway(
            "no manager runs on this machine, as far as this user can see: start one (`marchproxy up FILE` with a section "
            "`manager`), name its key with --key-file, or log in to one elsewhere (`marchproxy login URL`)"
        )
    if len(found) > 1:
        listed = "\n".join(f"  --key-file {key}" for key in found)
        raise ManagerAway(f"{len(found)} managers run on this machine; say which one:\n{listed}")
    return _by_key(found[0], running[found[0]])


def _by_key(key: Path, record: PidRecord) -> Place:
    settings = load_settings(Path(record.fingerprint), os.environ).manager
    if settings is None:
        raise ManagerAway(f"{record.fingerprint}: has no section `manager` any more; add --manager URL")
    return local_place(settings, key)


def _local_keys(state: Path, file: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    yield from sorted(state.glob(f"*/{LOCAL_KEY}"))
    yield from sorted(state.glob(f"up/*/*/{LOCAL_KEY}"))
    if file is not None:
        with suppress(SettingsError):
            settings = load_settings(file, environ).manager
            if settings is not None and settings.state_dir is not None:
                yield settings.directory() / LOCAL_KEY


def _running(key: Path) -> PidRecord | None:
    """Who runs with a key; None: nobody does."""
    with suppress(OSError):
        record = read_record(key.parent / SERVICE)
        if record is not None and (handle := ProcessHandle.open(record.pid, start_ticks=record.start_ticks)):
            handle.close()
            return record
    return None


def _is_of(record: PidRecord, key: Path, file: Path) -> bool:
    """Whether a manager was started with a file: by itself, or by `up`, whose record is in the folder above."""
    if record.fingerprint == str(file.absolute()):
        return True
    with suppress(OSError):
        above = read_record(Folders(key.parent.parent).lock)
        return above is not None and above.fingerprint == str(file.absolute())
    return False
