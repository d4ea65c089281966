"""Which manager a command asks: what its options say, the context, or the manager of this machine."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer

from marchproxy.cli.file import load_settings
from marchproxy.cli.managed.contexts import LOCAL, Context, contexts_file, read_contexts
from marchproxy.cli.manager.local import ManagerAway, local_place
from marchproxy.cli.manager.place import Place, trusting
from marchproxy.cli.record import SERVICE, read_record
from marchproxy.cli.up.parts import Folders
from marchproxy.engines.envoy.handle import ProcessHandle
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.kit.files import default_state_dir
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.manager.places import LOCAL_KEY


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say. `context` is the option's or $MARCHPROXY_CONTEXT; `file` is what the command is about."""

    context: str = ""
    url: str = ""
    key_file: Path | None = None
    as_json: bool = False
    file: Path | None = None


def find_place(asked: Asked, environ: Mapping[str, str] = os.environ) -> Place:
    """Where to ask. Raises SettingsError, ManagerAway, and typer.BadParameter for options that exclude each other."""
    if asked.url or asked.key_file:
        return _named(asked)
    contexts = read_contexts(contexts_file(environ))
    name = asked.context or contexts.current or LOCAL
    if name != LOCAL:
        return place_of(contexts.named(name))
    return local_manager(asked.file, list(_local_keys(default_state_dir(environ), asked.file, environ)))


def place_of(context: Context) -> Place:
    """The manager of a context. Raises SettingsError when its authorities cannot be read."""
    if context.ca is None:
        return Place(context.url, context.key)
    try:
        return Place(context.url, context.key, trusting(context.ca))
    except OSError as error:
        reason = f"cannot be used: {error.strerror or error}"
        raise SettingsError([Problem("", reason, None, str(context.ca))]) from error


def local_manager(file: Path | None, keys: Sequence[Path]) -> Place:
    """The one manager that runs on this machine, or that of `file`. Raises ManagerAway, SettingsError.

    `keys`: where local keys may be; the record beside each says which process it is of, and which file that reads.
    """
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


def _named(asked: Asked) -> Place:
    if asked.context:
        raise typer.BadParameter("--context names a manager already: leave out --manager and --key-file")
    key = asked.key_file
    if key is None:
        raise typer.BadParameter("--manager needs --key-file; or log in (`marchproxy login URL`)")
    if not asked.url:
        record = _running(key)
        if record is None:
            raise ManagerAway(
                f"{key}: no manager runs in that folder; where it is elsewhere, add --manager URL"
            )
        return _by_key(key, record)
    try:
        return Place(asked.url.rstrip("/"), key.read_text().strip())
    except OSError as error:
        raise ManagerAway(f"{key}: {error.strerror or error}") from error


def _by_key(key: Path, record: PidRecord) -> Place:
    settings = load_settings(Path(record.fingerprint), os.environ).manager
    if settings is None:
        raise ManagerAway(f"{record.fingerprint}: has no section `manager` any more; add --manager URL")
    return local_place(settings, key)


def _local_keys(state: Path, file: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where local keys are, by default and as a file says."""
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
