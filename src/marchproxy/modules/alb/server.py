"""The ALB process: ModuleService around a gateway."""

from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.modules.alb.central.gateway import central_gateway
from marchproxy.modules.alb.settings import AlbSettings
from marchproxy.modules.base.server import ModuleServer, Origin, Signals
from marchproxy.modules.http.gateway import http_gateway
from marchproxy.modules.http.listening import choose_ports


async def serve(
    settings: AlbSettings, origin: Origin, signals: Signals, *, clock: Clock | None = None
) -> None:
    """Run one ALB instance until `signals.stop`. The system chooses the ports that are 0.

    Raises SettingsError, Refused, PortInUse, BindError, EnvoyMissing and EnvoyStartError; nothing is left running then.
    """
    clock = clock or SystemClock()
    settings = choose_ports(settings)  # others are told where we listen
    gateway = central_gateway if settings.xds_server else http_gateway
    async with gateway(settings, clock=clock) as engine:
        await ModuleServer(settings, engine, origin, signals, clock=clock).run()
