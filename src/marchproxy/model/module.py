"""Modules: the kinds of module, their protocols and health, and one registered instance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NewType

InstanceId = NewType("InstanceId", str)
Version = NewType("Version", str)
PoolName = NewType("PoolName", str)


class ModuleType(Enum):
    """The kinds of part that speak the contract; the value is the name used in documents."""

    ALB = "alb"
    DBLB = "dblb"
    AILB = "ailb"
    RTMP = "rtmp"
    NLB = "nlb"


class Protocol(Enum):
    """What a listener or an endpoint speaks; the value is the name used in documents."""

    TCP = "tcp"
    UDP = "udp"
    HTTP = "http"
    HTTPS = "https"
    HTTP2 = "http2"
    HTTP3 = "http3"
    GRPC = "grpc"
    WEBSOCKET = "websocket"
    MYSQL = "mysql"
    POSTGRES = "postgres"
    MONGODB = "mongodb"
    REDIS = "redis"
    RTMP = "rtmp"
    RTMPS = "rtmps"
    HLS = "hls"
    DASH = "dash"


class HealthStatus(Enum):
    """The health of an instance as the contract knows it."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    STARTING = "starting"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def takes_traffic(self) -> bool:
        """Whether new connections may be sent to an instance in this state."""
        return self in {HealthStatus.HEALTHY, HealthStatus.DEGRADED}


#: Protocols that travel over an HTTP listener: a module that serves HTTP answers for all of them.
HTTP_FAMILY = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.WEBSOCKET})


#: What an instance says of itself that runs, and was told to take nothing new.
DRAINED = "drained: takes nothing new until it is told to"


@dataclass(frozen=True, slots=True)
class TrafficEndpoint:
    """Where an instance accepts traffic. `address` is host:port.

    `proxy_protocol` true: every connection must begin with a PROXY protocol v2 header, and only the NLB may
    connect. False: plain connections. One endpoint never accepts both, or a client could forge its address.
    """

    name: str
    protocol: Protocol
    address: str
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class ModuleInstance:
    """One running instance of a module, as it registers with the NLB. `address` is its gRPC host:port."""

    instance_id: InstanceId
    module_type: ModuleType
    address: str
    version: Version = Version("v1")
    health: HealthStatus = HealthStatus.STARTING
    started_at: datetime | None = None
    current_connections: int = 0
    max_connections: int = 0
    traffic_weight: int = 100
    traffic_endpoints: tuple[TrafficEndpoint, ...] = ()
    config_checksum: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
