"""Server: starts a manager in order, keeps its loops running, and stops it in reverse.

Start: the store, what is in force, HTTP, ready. Stop: not ready, requests end, loops end, the store is closed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry

from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.http import HttpEndpoint
from marchproxy.kit.listening import check_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.metrics import new_registry
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.kit.tasks import beside, every
from marchproxy.manager.access import Access
from marchproxy.manager.api import create_app
from marchproxy.manager.certificates import Certificates
from marchproxy.manager.desk import Desk
from marchproxy.manager.operating import Operations
from marchproxy.manager.revising import Fleet, Revisions
from marchproxy.manager.settings import ManagerSettings
from marchproxy.manager.ui import install
from marchproxy.manager.watching import Observer
from marchproxy.manager.web import Guard, Rules, serving
from marchproxy.manager.web.file import router as file_router
from marchproxy.model.state import DesiredState
from marchproxy.store import Sealer, Store, StoreSettings, open_store

_log = get_logger(__name__)
_PRUNE_SECONDS = 600.0

Extra: TypeAlias = Callable[[Desk, CollectorRegistry], AbstractAsyncContextManager[None]]
"""Something that runs beside the manager for as long as it does, entered once the desk is complete, with its metrics."""


@dataclass(frozen=True, slots=True)
class Manager:
    """A running manager, as its process sees it; the ports differ from the settings where those say 0."""

    desk: Desk
    http: int
    metrics: int


async def serve(
    settings: ManagerSettings,
    state: DesiredState,
    stop: asyncio.Event,
    *,
    file: Path,
    started: Callable[[Manager], None] = lambda _: None,
    extras: Sequence[Extra] = (),
) -> None:
    """Run a manager until `stop` is set; `started` is called once it is ready.

    `state` is what `file` says now. Raises what keeps it from starting: PortInUse, BindError, SettingsError,
    StoreUnavailable, OSError.
    """
    async with running(settings, state, file=file, extras=extras) as manager:
        started(manager)
        _log.info("manager ready", id=settings.id, http=manager.http, metrics=manager.metrics)
        await stop.wait()
        _log.info("manager stopping", id=settings.id)


@asynccontextmanager
async def running(
    settings: ManagerSettings, state: DesiredState, *, file: Path, extras: Sequence[Extra] = ()
) -> AsyncIterator[Manager]:
    """A manager for the length of the block; raises as `serve`."""
    check_free(settings.http, "manager.http")
    check_free(settings.metrics, "manager.metrics")
    directory = settings.directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    registry, clock = new_registry(), SystemClock()
    async with AsyncExitStack() as stack:
        sealer = Sealer.of_file(settings.secret_key or directory / "secret.key")
        store = await stack.enter_async_context(open_store(_store_settings(settings), sealer))
        desk = await _furnish(settings, store, clock)
        await desk.revisions.start(state, str(file))
        await _welcome(desk)
        readiness = _Readiness(desk)
        metrics = await stack.enter_async_context(_operations(settings, registry, readiness))
        for name, loop in _loops(desk).items():
            await stack.enter_async_context(beside(loop(), name=name))
        for extra in extras:
            await stack.enter_async_context(extra(desk, registry))
        http = await stack.enter_async_context(serving(_application(desk, registry), settings))
        readiness.announced = True
        yield Manager(desk, http, metrics)
        readiness.announced = False


def _store_settings(settings: ManagerSettings) -> StoreSettings:
    url = settings.database or f"sqlite:///{settings.directory().absolute() / 'manager.db'}"
    return StoreSettings(url, password=_database_password(settings.database_password))


def _database_password(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            [Problem("manager.database_password", f"{file} cannot be read: {error}")]
        ) from error


async def _furnish(settings: ManagerSettings, store: Store, clock: Clock) -> Desk:
    nlbs = [str(address) for address in settings.nlbs]
    revisions = Revisions(store, Fleet(nlbs, clock=clock, tls=settings.nlb_tls), clock=clock)
    live = Observer(nlbs, store, revisions, clock=clock, tls=settings.nlb_tls)
    directory = settings.directory()
    certificates = Certificates(
        store, directory / "certificates", lambda: revisions.current.document, clock=clock
    )
    await certificates.restore()
    return Desk(
        settings=settings,
        store=store,
        revisions=revisions,
        live=live,
        operations=Operations(live, revisions, store, clock=clock),
        access=Access(store, clock, directory, session_hours=settings.session_hours),
        certificates=certificates,
        clock=clock,
    )


async def _welcome(desk: Desk) -> None:
    """Let the first admin in, where nobody may come in yet. The password is in a file alone, never in a log."""
    if await desk.access.users.ensure_first():
        _log.warning(
            "the password of the user admin is in a file, which is removed when it is changed",
            file=str(desk.access.users.initial_password_file),
        )


def _loops(desk: Desk) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
    async def forget_sessions() -> None:
        await every(_PRUNE_SECONDS, desk.access.prune, clock=desk.clock, name="forget sessions")

    return {
        "revisions": desk.revisions.run,
        "watching": desk.live.run,
        "operations": desk.operations.run,
        "certificates": desk.certificates.run,
        "sessions": forget_sessions,
    }


def _application(desk: Desk, registry: CollectorRegistry) -> Guard:
    settings = desk.settings
    app = create_app(desk, file_router)
    install(app, desk)
    rules = Rules(
        max_body=settings.max_body_bytes,
        seconds=settings.request_seconds,
        public_url=settings.public_url,
        secure=settings.secure,
    )
    return Guard(app, rules, registry)


@dataclass(slots=True)
class _Readiness:
    desk: Desk
    announced: bool = False

    def __call__(self) -> tuple[bool, Mapping[str, object]]:
        revision = self.desk.revisions.current.head.number
        return self.announced, {"serving": self.announced, "revision": revision}


@asynccontextmanager
async def _operations(
    settings: ManagerSettings, registry: CollectorRegistry, ready: _Readiness
) -> AsyncIterator[int]:
    endpoint = HttpEndpoint(settings.metrics, registry=registry, ready=ready, setting="manager.metrics")
    port = await endpoint.start()
    try:
        yield port
    finally:
        await endpoint.stop()
