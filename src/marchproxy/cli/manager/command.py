"""`marchproxy manager`: the manager in this process, until a signal ends it."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import typer

from marchproxy.cli.failing import fail, failing_clearly
from marchproxy.cli.file import load_file
from marchproxy.cli.leash import ParentGone, end_with
from marchproxy.cli.manager.welcome import welcome
from marchproxy.cli.record import SERVICE, recorded
from marchproxy.kit import logs, tasks
from marchproxy.kit.listening import BindError
from marchproxy.kit.settings import HostPort
from marchproxy.kit.telemetry import Service, tracing
from marchproxy.manager.server import Manager, serve
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.store import StoreUnavailable

#: What may keep a manager from starting, each with a message that says what to do.
EXPECTED = (BindError, StoreUnavailable, Refused, InvalidValue, ParentGone, OSError)


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
        logging.getLogger("alembic").setLevel(
            logging.WARNING
        )  # it tells of each look at a database that is up to date

        managers: list[Manager] = []

        def started(manager: Manager) -> None:
            managers.append(manager)
            if sys.stdout.isatty():
                bound = HostPort(settings.http.host, manager.http)
                typer.echo(welcome(settings.model_copy(update={"http": bound})))

        async def main(stop: asyncio.Event) -> None:
            await serve(settings, loaded.state, stop, file=file, started=started)

        async def reload() -> None:
            for manager in managers:
                await manager.desk.revisions.take_file(load_file(file, os.environ).state, str(file))

        me = Service("manager", settings.id)
        with recorded(settings.directory() / SERVICE, file), tracing(settings.tracing, me):
            tasks.run(lambda: tasks.run_service(main, on_reload=reload))
