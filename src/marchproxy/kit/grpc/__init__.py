"""gRPC for every process: one server, one channel pool, one way to report errors."""

from marchproxy.kit.grpc.calls import CallMetrics
from marchproxy.kit.grpc.channels import ChannelLimit, ChannelOptions, ChannelPool, CircuitOpen
from marchproxy.kit.grpc.handlers import Registration
from marchproxy.kit.grpc.server import GrpcServer, ServerOptions
from marchproxy.kit.grpc.status import (
    Misuse,
    already_exists,
    failed_precondition,
    invalid,
    not_found,
    permission_denied,
    resource_exhausted,
    unauthenticated,
    unavailable,
    unimplemented,
)
from marchproxy.kit.grpc.tls import ChannelTls, TlsSettings
from marchproxy.kit.listening import BindError, PortInUse

__all__ = [
    "BindError",
    "CallMetrics",
    "ChannelLimit",
    "ChannelOptions",
    "ChannelPool",
    "ChannelTls",
    "CircuitOpen",
    "GrpcServer",
    "Misuse",
    "PortInUse",
    "Registration",
    "ServerOptions",
    "TlsSettings",
    "already_exists",
    "failed_precondition",
    "invalid",
    "not_found",
    "permission_denied",
    "resource_exhausted",
    "unauthenticated",
    "unavailable",
    "unimplemented",
]
