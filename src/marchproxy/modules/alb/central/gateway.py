"""Gateway: an Envoy that opens the listeners of its instance, and takes everything else from a central xDS server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from google.protobuf.json_format import MessageToDict

from marchproxy.engines.envoy.central import Central, centralised, write_resources
from marchproxy.engines.envoy.process import EnvoyProcess
from marchproxy.engines.envoy.run_directory import Role
from marchproxy.engines.envoy.xds.identity import MODULE
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc.tls import channel_credentials
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.kit.tasks import beside
from marchproxy.model.module import ModuleType
from marchproxy.modules.alb.central.engine import CentralEngine
from marchproxy.modules.alb.central.told import Told
from marchproxy.modules.alb.central.watch import CentralWatch
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.http.access_log import AccessLogFile
from marchproxy.modules.http.certificates import open_certificates
from marchproxy.modules.http.engine import HttpInstance
from marchproxy.modules.http.extension import NOTHING_ADDED
from marchproxy.modules.http.gateway import (
    bootstrap_of,
    envoy_settings,
    goodbye_seconds,
    keep_logs,
    make_directory,
    observing_of,
)
from marchproxy.modules.http.listening import check_ports, endpoints, listeners
from marchproxy.modules.http.resources import Builder, ListenerSpec
from marchproxy.modules.http.resources.observing import collectors


@asynccontextmanager
async def central_gateway(settings: AlbSettings, *, clock: Clock) -> AsyncIterator[CentralEngine]:
    """The Envoy of an instance while the block runs; `settings` have real ports, and an `xds_server`.

    Raises SettingsError, PortInUse, BindError, EnvoyMissing and EnvoyStartError; nothing is left running then. A central
    server that is away keeps nothing from starting: Envoy waits for it.
    """
    run_dir = settings.own_state_dir()
    make_directory(run_dir, run_dir / "ads.sock")
    log = None if settings.access_log is None else AccessLogFile(settings.access_log, run_dir)
    observing = observing_of(settings, log)
    specs = tuple(replace(listener, observing=observing) for listener in listeners(settings, run_dir))
    doors = Builder(specs, workers=settings.envoy.workers()).listeners
    central = _central(settings, run_dir, specs)
    how = envoy_settings(settings, run_dir)
    bootstrap = centralised(bootstrap_of(settings, run_dir / "ads.sock"), central)
    envoy = EnvoyProcess(how, bootstrap=bootstrap, clock=clock)
    watch = CentralWatch(envoy.admin, ", ".join(map(str, settings.xds_server)), clock=clock)
    told = Told(central.fleet, watch)
    if not (how.run_dir / Role.SERVING.value).exists():  # an Envoy that may be adopted has these ports
        check_ports(settings)
        _open(central.listeners, doors)
    await envoy.start()
    async with envoy:
        _open(central.listeners, doors)
        engine = CentralEngine(
            HttpInstance(ModuleType.ALB, endpoints(settings), goodbye_seconds(settings)),
            envoy,
            told,
            certificates=open_certificates(settings.https, run_dir, clock=clock),
            clock=clock,
        )
        async with (
            beside(watch.run(), name="xds-server"),
            beside(keep_logs(log, NOTHING_ADDED, envoy, clock), name="access-log"),
        ):
            yield engine


def _central(settings: AlbSettings, run_dir: Path, specs: tuple[ListenerSpec, ...]) -> Central:
    folder = run_dir / "central"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError([Problem("state_dir", f"cannot make {folder}: {error.strerror}")]) from error
    if settings.xds_tls is not None:
        channel_credentials(settings.xds_tls, "xds_tls")  # what Envoy could not read is told before it starts
    return Central(
        servers=settings.xds_server,
        tls=settings.xds_tls,
        metadata={MODULE: ModuleType.ALB.value},
        listeners=folder / "listeners.pb",
        fleet=folder / "fleet.pb",
        clusters=tuple(MessageToDict(one, preserving_proto_field_name=True) for one in collectors(specs)),
    )


def _open(file: Path, doors: tuple[Resource, ...]) -> None:
    """Have Envoy open these listeners, which it does when it has what lies behind them."""
    write_resources(file, doors)
