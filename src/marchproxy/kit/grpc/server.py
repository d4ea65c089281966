"""The gRPC server every process runs: health, reflection, keepalive, limits, graceful stop."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from marchproxy.kit.grpc.calls import CallMetrics, CallPolicy
from marchproxy.kit.grpc.handlers import Registration, Services, wrap
from marchproxy.kit.grpc.tls import TlsSettings, server_credentials
from marchproxy.kit.listening import Address, BindError, check_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort

_log = get_logger(__name__)
_FAREWELL_SECONDS = 0.1  # between NOT_SERVING and the end of streams, so that health watchers hear it
_STATUS = health_pb2.HealthCheckResponse


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Limits of one server. Times in seconds.

    default_deadline: for unary calls whose client sets none.
    max_concurrent_calls: beyond it calls are answered RESOURCE_EXHAUSTED; streams count.
    keepalive, keepalive_timeout: a silent connection is pinged, and closed when no answer comes.
    min_client_ping: a client that pings more often is disconnected (GOAWAY, too_many_pings).
    """

    default_deadline: float = 30.0
    max_message_bytes: int = 16 * 1024 * 1024
    max_concurrent_calls: int = 4096
    keepalive: float = 30.0
    keepalive_timeout: float = 10.0
    min_client_ping: float = 5.0


class GrpcServer:
    """A server of `services`, plus grpc.health.v1 and reflection. Start it once, stop it once."""

    def __init__(
        self,
        *,
        address: Address,
        services: Sequence[Registration],
        tls: TlsSettings | None = None,
        options: ServerOptions = ServerOptions(),
        metrics: CallMetrics | None = None,
        setting: str = "grpc",
    ) -> None:
        """`setting` is how errors name the address (and, with `.tls`, the certificates) in the configuration."""
        self._address = address
        self._tls = tls
        self._options = options
        self._setting = setting
        self._policy = CallPolicy(metrics or CallMetrics(), options.default_deadline)
        self._health = health.aio.HealthServicer()
        self._services = self._with_standard_services(services)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Listen and serve; return the port (0 for a Unix socket). Health says SERVING unless told otherwise before.

        Raises PortInUse or BindError with address and setting, SettingsError for TLS files.
        """
        credentials = server_credentials(self._tls, f"{self._setting}.tls") if self._tls else None
        check_free(self._address, self._setting)
        server = grpc.aio.server(
            options=_channel_arguments(self._options),
            maximum_concurrent_rpcs=self._options.max_concurrent_calls,
        )
        for name, methods in wrap(self._services, self._policy).items():
            server.add_registered_method_handlers(name, methods)
        try:
            where = str(self._address)
            port = (
                server.add_secure_port(where, credentials) if credentials else server.add_insecure_port(where)
            )
        except RuntimeError as error:
            raise BindError(self._address, self._setting, str(error)) from error
        await server.start()
        self._server = server
        _log.info("grpc server listening", address=str(self._address), port=port, tls=credentials is not None)
        return port if isinstance(self._address, HostPort) else 0

    async def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the state itself, not an option
        """Answer SERVING or NOT_SERVING for the whole server and each of its services."""
        status = _STATUS.SERVING if serving else _STATUS.NOT_SERVING
        for name in ("", *self._services):
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        """Stop: health says NOT_SERVING, new calls are refused, streams end, unary calls have the grace to finish."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        # streams are endless here; waiting for them would always take the whole grace
        self._policy.end_streams(after=min(_FAREWELL_SECONDS, grace_seconds))
        await self._server.stop(grace_seconds)
        self._server = None

    def _with_standard_services(self, registrations: Sequence[Registration]) -> Services:
        services: Services = {}
        for registration in registrations:
            services |= registration.services()
        services |= Registration(health_pb2_grpc.add_HealthServicer_to_server, self._health).services()
        names = (*services, reflection.SERVICE_NAME)
        reflector = reflection.aio.ReflectionServicer(names)
        services |= Registration(
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server, reflector
        ).services()
        return services


def _channel_arguments(options: ServerOptions) -> list[tuple[str, int]]:
    # names: github.com/grpc/grpc include/grpc/impl/channel_arg_names.h
    return [
        ("grpc.so_reuseport", 0),  # a second process on the same port is an error, not a silent share
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.keepalive_time_ms", int(options.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(options.min_client_ping * 1000)),
    ]
