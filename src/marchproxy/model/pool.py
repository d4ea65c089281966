"""Backend pools: named sets of endpoints of one version, with their health check and balance policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from marchproxy.model.module import Protocol, Version
from marchproxy.model.route import PoolName


class BalancePolicy(Enum):
    """How one of several equal endpoints is chosen."""

    LEAST_CONNECTIONS = "least_connections"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    SOURCE_HASH = "source_hash"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One backend address (host:port, host an IP address or a DNS name) and its relative weight (1 to 100)."""

    address: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Active health checks: `interval` and `timeout` in seconds, thresholds in consecutive results.

    An empty `path` checks that a TCP connection can be made; otherwise HTTP GET must answer 200 to 299.
    `port` 0: the endpoint's own.
    """

    interval: float = 5.0
    timeout: float = 1.0
    unhealthy_threshold: int = 2
    healthy_threshold: int = 1
    path: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class BackendPool:
    """A pool. `connect_timeout` in seconds. `protocol` HTTP2 or GRPC: HTTP/2 with prior knowledge to the backend."""

    name: PoolName
    version: Version = Version("v1")
    endpoints: tuple[Endpoint, ...] = ()
    protocol: Protocol = Protocol.HTTP
    health_check: HealthCheck | None = None
    balance: BalancePolicy = BalancePolicy.LEAST_CONNECTIONS
    connect_timeout: float = 1.0
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
