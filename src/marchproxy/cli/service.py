"""`marchproxy nlb`, `alb`, `dblb`, `ailb` and `rtmp`: one service in this process, until a signal ends it."""

# ruff: noqa: PLC0415 - an NLB must not pay for the code of an ALB

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from marchproxy.cli.failing import fail, failing_clearly
from marchproxy.cli.file import FileDocument, load_file, load_settings, pick_module, replica_of
from marchproxy.cli.file.select import M
from marchproxy.cli.leash import ParentGone, end_with
from marchproxy.cli.record import SERVICE, recorded
from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.launch import EnvoyStartError
from marchproxy.kit import logs, tasks
from marchproxy.kit.listening import BindError
from marchproxy.kit.settings import SettingsError
from marchproxy.kit.telemetry import Service, tracing
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.modules.ailb.settings import AilbSettings
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.modules.rtmp.settings import RtmpSettings

if TYPE_CHECKING:
    from marchproxy.modules.base.server import Origin, Signals

#: What may keep a service from starting, each with a message that says what to do. OSError: a folder or a disk.
EXPECTED = (BindError, EnvoyMissing, EnvoyStartError, Refused, InvalidValue, ParentGone, OSError)


@dataclass(frozen=True, slots=True)
class Instance(Generic[M]):
    """Which module of a kind a process runs: an entry of a file, or replica number `replica` of it."""

    kind: type[M]
    file: Path
    module_id: str | None = None
    replica: int | None = None

    def settings(self) -> M:
        """The settings, as file and environment have them now. Raises SettingsError.

        A desired state with faults does not matter where an earlier process left another, which goes on.
        """
        try:
            return self._picked(load_file(self.file, os.environ).document)
        except SettingsError:
            with suppress(SettingsError):
                settings = self._picked(load_settings(self.file, os.environ))
                if settings.kept_state().exists():
                    return settings
            raise

    def _picked(self, document: FileDocument) -> M:
        module = pick_module(document, self.kind, self.module_id, os.environ)
        return module if self.replica is None else replica_of(module, self.replica)

    def replica_command(self, command: str, entry: str) -> Callable[[int], Sequence[str]] | None:
        """How further instances of the entry are started, by a command of ours; replicas start none."""
        if self.replica is not None:
            return None
        base: list[str] = [
            sys.executable,
            "-m",
            "marchproxy",
            command,
            "--config",
            str(self.file.absolute()),
            "--id",
            entry,
        ]
        # a replica without its first instance would never be told anything again
        return lambda number: [*base, "--replica", str(number), "--leash", str(os.getpid())]


def run_nlb(file: Path, leash: int | None = None) -> None:
    """Run the file's NLB until SIGTERM or SIGINT; SIGHUP reads the file again. Raises typer.Exit when it cannot.

    With `leash` it also ends when the process of that id does, which must have started it.
    """
    from marchproxy.nlb.dataplane.plane import PlaneRefused, PlaneUnavailable
    from marchproxy.nlb.server import Nlb, serve

    with failing_clearly(*EXPECTED, PlaneRefused, PlaneUnavailable):
        _leash(leash)
        loaded = load_file(file, os.environ)
        settings = loaded.document.nlb
        if settings is None:
            fail(f"{file}: has no section `nlb`; `nlb: {{}}` is enough for one with default settings")
        _log_as("nlb", settings.id, settings.log_level)
        running: list[Nlb] = []

        async def reload() -> None:
            for nlb in running:
                await nlb.reload(load_file(file, os.environ).state)

        async def main(stop: asyncio.Event) -> None:
            await serve(settings, loaded.state, stop, started=running.append)

        me = Service("nlb", settings.id)
        with recorded(settings.directory() / SERVICE, file), tracing(settings.tracing, me):
            tasks.run(lambda: tasks.run_service(main, on_reload=reload))


def run_alb(instance: Instance[AlbSettings], leash: int | None = None) -> None:
    """Run one ALB until SIGTERM or SIGINT; SIGHUP reads the file again. Raises typer.Exit when it cannot.

    With `leash` it also ends when the process of that id does, which must have started it.
    """
    from marchproxy.modules.alb.server import serve

    _run_module(instance, serve, leash)


def run_dblb(instance: Instance[DblbSettings], leash: int | None = None) -> None:
    """Run one DBLB; as `run_alb`."""
    from marchproxy.modules.dblb.server import serve

    _run_module(instance, serve, leash)


def run_ailb(instance: Instance[AilbSettings], leash: int | None = None) -> None:
    """Run one AILB; as `run_alb`."""
    from marchproxy.modules.ailb.server import serve

    _run_module(instance, serve, leash)


def run_rtmp(instance: Instance[RtmpSettings], leash: int | None = None) -> None:
    """Run one RTMP module; as `run_alb`."""
    from marchproxy.modules.rtmp.server import serve

    _run_module(instance, serve, leash)


def _run_module(
    instance: Instance[M], serve: "Callable[[M, Origin, Signals], Awaitable[None]]", leash: int | None
) -> None:
    from marchproxy.modules.base.server import Origin, Signals

    with failing_clearly(*EXPECTED):
        _leash(leash)
        settings = instance.settings()
        kind = settings.type
        _log_as(kind, settings.id, settings.log_level)
        origin = Origin(
            source=lambda: load_file(instance.file, os.environ).state,
            replica=instance.replica_command(kind, instance.module_id or settings.id),
        )
        reload = asyncio.Event()

        async def ask_to_reload() -> None:
            reload.set()

        async def main(stop: asyncio.Event) -> None:
            await serve(settings, origin, Signals(stop=stop, reload=reload))

        me = Service(kind, settings.id, settings.version)
        with recorded(settings.own_state_dir() / SERVICE, instance.file), tracing(settings.tracing, me):
            tasks.run(lambda: tasks.run_service(main, on_reload=ask_to_reload))


def _leash(parent: int | None) -> None:
    if parent is not None:
        end_with(parent)


def _log_as(service: str, instance_id: str, level: str) -> None:
    logs.configure(level=level)
    logs.bind(service=service, instance=instance_id)
