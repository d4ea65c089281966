"""Serving: an application behind uvicorn, in this loop, for the length of a block."""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import beside, every
from marchproxy.manager.settings import ManagerSettings
from marchproxy.manager.web.guard import Guard
from marchproxy.manager.web.protocol import BoundedProtocol
from marchproxy.manager.web.tls import LOOK_SECONDS, Credentials

_SETTING = "manager.http"
_BACKLOG = 512
_MOST = 2048  # connections, and requests under way; beyond, 503
_OTHER_DESCRIPTORS = 256  # files, the database, channels to modules
_KEEP_ALIVE_SECONDS = 75


@asynccontextmanager
async def serving(app: Guard, settings: ManagerSettings) -> AsyncIterator[int]:
    """Serve `app`; yields the port. Raises PortInUse, BindError, and SettingsError for a certificate that does not serve."""
    credentials = Credentials(settings.tls) if settings.tls is not None else None
    with _bound(settings.http) as listening:
        server = _Server(_config(app, settings, credentials))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(server.serve(sockets=[listening]), name="http")
            try:
                await server.up.wait()
                async with _renewing(credentials):
                    yield int(listening.getsockname()[1])
            finally:
                app.end_streams()
                server.should_exit = True
                await asyncio.wait([running])


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _config(app: Guard, settings: ManagerSettings, credentials: Credentials | None) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of everything that is no HTTP
    return uvicorn.Config(
        app,
        loop="none",
        http=BoundedProtocol,
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
        backlog=_BACKLOG,
        ws_max_size=settings.max_body_bytes,
        limit_concurrency=_most(),
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(round(settings.drain_seconds), 1),
        ssl_context_factory=None if credentials is None else lambda *_: credentials.context,
    )


def _most() -> int:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max(descriptors - _OTHER_DESCRIPTORS, 64), _MOST)


@asynccontextmanager
async def _renewing(credentials: Credentials | None) -> AsyncIterator[None]:
    if credentials is None:
        yield
        return
    looking = every(LOOK_SECONDS, credentials.look, clock=SystemClock(), name="look at the certificate")
    async with beside(looking, name="look at the certificate"):
        yield


@contextmanager
def _bound(address: HostPort) -> Iterator[socket.socket]:
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = found[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BindError(address, _SETTING, error.strerror or str(error)) from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(where)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(address, _SETTING) from error
            raise BindError(address, _SETTING, error.strerror or str(error)) from error
        yield listening
