"""The ALB process: an ADS server, an Envoy that takes its resources from it, and ModuleService around both."""

from dataclasses import replace
from pathlib import Path

from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings
from marchproxy.engines.envoy.tracing import request_tracing
from marchproxy.engines.envoy.validation import Validator
from marchproxy.engines.envoy.xds.publish import Publisher, load
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.kit.tasks import beside
from marchproxy.kit.telemetry import Service
from marchproxy.modules.alb.access_log import AccessLogFile
from marchproxy.modules.alb.certificates import open_certificates
from marchproxy.modules.alb.discovery import Follower, SrvResolver
from marchproxy.modules.alb.engine import AlbEngine, until_warm
from marchproxy.modules.alb.listening import check_ports, choose_ports, endpoints, listeners
from marchproxy.modules.alb.programmer import Programmer
from marchproxy.modules.alb.publication import Publication, resume
from marchproxy.modules.alb.resources import Builder
from marchproxy.modules.alb.resources.fleet import FLEET, instances_in
from marchproxy.modules.alb.resources.observing import Observing
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.alb.surroundings import Surroundings
from marchproxy.modules.base.server import ModuleServer, Origin, Signals

_LONGEST_SOCKET = 107  # unix(7)
_FLUSH_MILLISECONDS = 1000  # how long a line of the access log may wait for others


async def serve(
    settings: AlbSettings, origin: Origin, signals: Signals, *, clock: Clock | None = None
) -> None:
    """Run one ALB instance until `signals.stop`. The system chooses the ports that are 0.

    Raises SettingsError, Refused, PortInUse, BindError, EnvoyMissing and EnvoyStartError; nothing is left running then.
    """
    clock = clock or SystemClock()
    settings = choose_ports(settings)  # others are told where we listen
    run_dir = settings.own_state_dir()
    socket, store = run_dir / "ads.sock", run_dir / "snapshot.bin"
    _make_directory(run_dir, socket)
    certificates = open_certificates(settings.https, run_dir, clock=clock)
    log = None if settings.access_log is None else AccessLogFile(settings.access_log, run_dir)
    observing = _observing(settings, log)
    ads = AdsServer()
    async with serve_unix(ads, socket):
        envoy = EnvoyProcess(
            _envoy_settings(settings, run_dir), bootstrap=_bootstrap(settings, socket), clock=clock
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
            )
            resume(publisher, load(store), builder, adopted=envoy.status().adopted)
            around = Surroundings(
                Follower(SrvResolver(settings.resolvers), clock=clock), certificates, clock=clock
            )
            around.divide(instances_in(publisher.current))  # as far as is known before an NLB speaks
            publication = Publication(publisher, builder, _validator(settings, run_dir, socket))
            programmer = Programmer(publication, around, clock=clock)
            engine = AlbEngine(
                envoy,
                programmer,
                endpoints(settings),
                certificates=certificates,
                clock=clock,
                goodbye_seconds=_goodbye_seconds(settings),
            )
            async with (
                beside(programmer.follow(), name="endpoints"),
                beside(_keep(log, envoy, clock), name="access-log"),
            ):
                await ModuleServer(settings, engine, origin, signals, clock=clock).run()


def _validator(settings: AlbSettings, run_dir: Path, socket: Path) -> Validator | None:
    if not settings.envoy.validate_changes:
        return None
    return Validator(find_envoy(settings.envoy.binary), _bootstrap(settings, socket), run_dir / "validation")


def _observing(settings: AlbSettings, log: AccessLogFile | None) -> Observing:
    tracing = request_tracing(settings.tracing, Service("alb", settings.id, settings.version))
    return Observing(None if log is None else log.resource(), tracing)


async def _keep(log: AccessLogFile | None, envoy: EnvoyProcess, clock: Clock) -> None:
    if log is not None:
        await log.keep(envoy.admin, clock)


def _make_directory(directory: Path, socket: Path) -> None:
    if len(bytes(socket)) > _LONGEST_SOCKET:
        reason = f"{socket} is longer than the {_LONGEST_SOCKET} bytes that a Unix socket may have; choose a shorter path"
        raise SettingsError([Problem("state_dir", reason)])
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot make {directory}: {error.strerror or error}"
        raise SettingsError([Problem("state_dir", reason)]) from error


def _goodbye_seconds(settings: AlbSettings) -> int:
    """For how long a draining Envoy asks clients to go."""
    return max(1, min(5, int(settings.drain_seconds)))


def _envoy_settings(settings: AlbSettings, run_dir: Path) -> EnvoySettings:
    return EnvoySettings(
        node_id=settings.id,
        cluster="alb",
        admin=settings.envoy.admin,
        run_dir=run_dir / "envoy",
        binary=settings.envoy.binary,
        concurrency=settings.envoy.workers(),
        log_level=settings.envoy.log_level,
        drain_seconds=_goodbye_seconds(settings),
        handover_seconds=settings.envoy.handover_seconds,
        extra_args=("--file-flush-interval-msec", str(_FLUSH_MILLISECONDS)),
    )


def _bootstrap(settings: AlbSettings, socket: Path) -> bytes:
    return render(
        BootstrapSpec(
            node_id=settings.id,
            cluster="alb",
            admin=settings.envoy.admin,
            ads_socket=socket,
            stats_flush_seconds=settings.stats_window,
            fleet=FLEET,
        )
    )
