"""Gateway: an ADS server, an Envoy that takes its resources from it, and the engine of both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.log_rotation import RotatedLog
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings
from marchproxy.engines.envoy.tracing import request_tracing
from marchproxy.engines.envoy.validation import Validator
from marchproxy.engines.envoy.xds.publish import Publisher, load
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.kit.tasks import beside, every
from marchproxy.kit.telemetry import Service
from marchproxy.modules.http.access_log import AccessLogFile
from marchproxy.modules.http.certificates import open_certificates
from marchproxy.modules.http.discovery import Follower, SrvResolver
from marchproxy.modules.http.engine import HttpEngine, HttpInstance, until_warm
from marchproxy.modules.http.extension import NO_FILES, NOTHING_ADDED, Extension, FileSecrets
from marchproxy.modules.http.listening import check_ports, endpoints, listeners
from marchproxy.modules.http.programmer import Programmer
from marchproxy.modules.http.publication import Publication, resume
from marchproxy.modules.http.resources import Builder
from marchproxy.modules.http.resources.fleet import FLEET, instances_in
from marchproxy.modules.http.resources.observing import Observing
from marchproxy.modules.http.settings import HttpSettings
from marchproxy.modules.http.surroundings import Surroundings

_LONGEST_SOCKET = 107  # unix(7)
_LOOK_SECONDS = 1.0
_FLUSH_MILLISECONDS = 1000  # how long a line of the access log may wait for others


@asynccontextmanager
async def http_gateway(
    settings: HttpSettings,
    *,
    clock: Clock,
    extension: Extension = NOTHING_ADDED,
    secrets: FileSecrets = NO_FILES,
) -> AsyncIterator[HttpEngine]:
    """The Envoy of an instance, and what programs it, while the block runs; `settings` have real ports.

    `extension` and `secrets`: what the module adds.

    Raises SettingsError, Refused, PortInUse, BindError, EnvoyMissing and EnvoyStartError; nothing is left running then.
    """
    run_dir = settings.own_state_dir()
    socket, store = run_dir / "ads.sock", run_dir / "snapshot.bin"
    make_directory(run_dir, socket)
    certificates = open_certificates(settings.https, run_dir, clock=clock)
    log = None if settings.access_log is None else AccessLogFile(settings.access_log, run_dir)
    observing = observing_of(settings, log)
    ads = AdsServer()
    async with serve_unix(ads, socket):
        envoy = EnvoyProcess(
            envoy_settings(settings, run_dir), bootstrap=bootstrap_of(settings, socket), clock=clock
        )
        await envoy.start()
        async with envoy:
            publisher = Publisher(
                ads, settings.id, warmed=lambda: until_warm(envoy.admin, clock), store=store
            )
            if not envoy.status().adopted:
                check_ports(settings)
            builder = Builder(
                tuple(replace(listener, observing=observing) for listener in listeners(settings, run_dir)),
                workers=settings.envoy.workers(),
                resolvers=settings.resolvers,
                fleet=FLEET,
                extension=extension,
            )
            resume(publisher, load(store), builder, adopted=envoy.status().adopted)
            follower = Follower(SrvResolver(settings.resolvers), clock=clock)
            around = Surroundings(follower, certificates, clock=clock, secrets=secrets)
            around.divide(instances_in(publisher.current))  # as far as is known before an NLB speaks
            publication = Publication(publisher, builder, _validator(settings, run_dir, socket))
            programmer = Programmer(publication, around, clock=clock)
            engine = HttpEngine(
                HttpInstance(extension.module, endpoints(settings), goodbye_seconds(settings)),
                envoy,
                programmer,
                certificates=certificates,
                clock=clock,
            )
            async with (
                beside(programmer.follow(), name="endpoints"),
                beside(keep_logs(log, extension, envoy, clock), name="access-log"),
            ):
                yield engine


def _validator(settings: HttpSettings, run_dir: Path, socket: Path) -> Validator | None:
    if not settings.envoy.validate_changes:
        return None
    return Validator(
        find_envoy(settings.envoy.binary), bootstrap_of(settings, socket), run_dir / "validation"
    )


def observing_of(settings: HttpSettings, log: AccessLogFile | None) -> Observing:
    """What Envoy tells of requests. Raises SettingsError."""
    tracing = request_tracing(settings.tracing, Service(settings.type, settings.id, settings.version))
    return Observing(None if log is None else log.resource(), tracing)


async def keep_logs(
    log: AccessLogFile | None, extension: Extension, envoy: EnvoyProcess, clock: Clock
) -> None:
    """Look after all files that Envoy appends to, until cancelled."""
    async with asyncio.TaskGroup() as group:
        if log is not None:
            group.create_task(log.keep(envoy.admin, clock))
        for path, limits in extension.logs():
            rotated = RotatedLog(path, limits, envoy.admin.reopen_logs)
            group.create_task(every(_LOOK_SECONDS, rotated.look, clock=clock, name=path.name))


def make_directory(directory: Path, socket: Path) -> None:
    """Make the folder of an instance. Raises SettingsError, also where `socket` would have too long a path."""
    if len(bytes(socket)) > _LONGEST_SOCKET:
        reason = f"{socket} is longer than the {_LONGEST_SOCKET} bytes that a Unix socket may have; choose a shorter path"
        raise SettingsError([Problem("state_dir", reason)])
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot make {directory}: {error.strerror or error}"
        raise SettingsError([Problem("state_dir", reason)]) from error


def goodbye_seconds(settings: HttpSettings) -> int:
    """For how long a draining Envoy asks clients to go."""
    return max(1, min(5, int(settings.drain_seconds)))


def envoy_settings(settings: HttpSettings, run_dir: Path) -> EnvoySettings:
    """How its Envoy is run."""
    return EnvoySettings(
        node_id=settings.id,
        cluster=settings.type,
        admin=settings.envoy.admin,
        run_dir=run_dir / "envoy",
        binary=settings.envoy.binary,
        concurrency=settings.envoy.workers(),
        log_level=settings.envoy.log_level,
        drain_seconds=goodbye_seconds(settings),
        handover_seconds=settings.envoy.handover_seconds,
        extra_args=("--file-flush-interval-msec", str(_FLUSH_MILLISECONDS)),
    )


def bootstrap_of(settings: HttpSettings, socket: Path) -> bytes:
    """What its Envoy starts from."""
    return render(
        BootstrapSpec(
            node_id=settings.id,
            cluster=settings.type,
            admin=settings.envoy.admin,
            ads_socket=socket,
            stats_flush_seconds=settings.stats_window,
            fleet=FLEET,
        )
    )
