"""`marchproxy manager`: the manager in this process, until a signal ends it."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from marchproxy.cli.failing import fail, failing_clearly
from marchproxy.cli.file import load_file
from marchproxy.cli.file.schema import ManagerSection
from marchproxy.cli.leash import ParentGone, end_with
from marchproxy.cli.manager.welcome import welcome
from marchproxy.cli.record import SERVICE, recorded
from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.kit import logs, tasks
from marchproxy.kit.listening import BindError
from marchproxy.kit.settings import HostPort, SettingsError
from marchproxy.kit.telemetry import Service, tracing
from marchproxy.manager.revising import Busy, Conflicts
from marchproxy.manager.server import Extra, Manager, serve
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.model.state import DesiredState
from marchproxy.store import StoreUnavailable

#: What may keep a manager from starting, each with a message that says what to do.
EXPECTED = (BindError, EnvoyMissing, StoreUnavailable, Refused, InvalidValue, ParentGone, OSError)
_NOT_TAKEN = (SettingsError, InvalidValue, Refused, Conflicts, Busy, StoreUnavailable)

_log = logs.get_logger(__name__)


def run_manager(file: Path, leash: int | None = None) -> None:
    """Run the file's manager until SIGTERM or SIGINT; SIGHUP reads the file again. Raises typer.Exit when it cannot.

    With `leash` it also ends when the process of that id does, which must have started it.
    """
    with failing_clearly(*EXPECTED):
        if leash is not None:
            end_with(leash)
        loaded = load_file(file, os.environ)
        settings = loaded.document.manager
        if settings is None:
            fail(f"{file}: has no section `manager`; `manager: {{}}` is enough for one with default settings")
        logs.configure(level=settings.log_level)
        logs.bind(service="manager", instance=settings.id)
        # it tells of each look at an up-to-date database
        logging.getLogger("alembic").setLevel(logging.WARNING)
        process = _Process(file, settings, loaded.state)
        me = Service("manager", settings.id)
        with recorded(settings.directory() / SERVICE, file), tracing(settings.tracing, me):
            tasks.run(lambda: tasks.run_service(process.serve, on_reload=process.reload))


class _Process:
    def __init__(self, file: Path, settings: ManagerSection, state: DesiredState) -> None:
        self._file = file
        self._settings = settings
        self._state = state
        self._manager: Manager | None = None

    async def serve(self, stop: asyncio.Event) -> None:
        extras = _extras(self._settings)
        await serve(self._settings, self._state, stop, file=self._file, started=self._greet, extras=extras)

    def _greet(self, manager: Manager) -> None:
        self._manager = manager
        if sys.stdout.isatty():
            bound = HostPort(self._settings.http.host, manager.http)
            typer.echo(welcome(self._settings.model_copy(update={"http": bound})))

    async def reload(self) -> None:
        if self._manager is None:
            return  # it is reading the file just now
        try:
            state = (await asyncio.to_thread(load_file, self._file, os.environ)).state
            outcome = await self._manager.desk.revisions.take_file(state, str(self._file))
        except _NOT_TAKEN as error:
            _log.error("the changed file is not put in force", file=str(self._file), reason=str(error))
            return
        if outcome is None:
            _log.info("the file says nothing new", file=str(self._file))


def _extras(settings: ManagerSection) -> Sequence[Extra]:
    if settings.xds is None:
        return ()
    from marchproxy.cli.manager.control_plane import control_plane  # noqa: PLC0415 - many have none

    return (control_plane(settings.xds),)
