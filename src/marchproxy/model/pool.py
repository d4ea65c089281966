"""Backend pools: named sets of endpoints of one version, with their health check and balance policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from marchproxy.model.ai import AiPool
from marchproxy.model.database import DATABASE_PROTOCOLS, DatabasePool
from marchproxy.model.module import PoolName, Protocol, Version
from marchproxy.model.rtmp import ORIGIN_PROTOCOLS, RtmpPool

_BEYOND_HTTP = DATABASE_PROTOCOLS | ORIGIN_PROTOCOLS


class BalancePolicy(Enum):
    """How one of several equal endpoints is chosen."""

    LEAST_CONNECTIONS = "least_connections"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    SOURCE_HASH = "source_hash"


class HashTable(Enum):
    """What a hash is looked up in. MAGLEV spreads more evenly, RING moves fewer clients when endpoints change."""

    MAGLEV = "maglev"
    RING = "ring"


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
class UpstreamTls:
    """TLS to the backends. `ca` is a PEM file of who may have signed; empty: the system's. Verified unless `insecure`.

    `server_name` is sent and verified, empty: the endpoint's host name. `certificate` and `key`: files of ours, for mTLS.
    """

    ca: str = ""
    server_name: str = ""
    certificate: str = ""
    key: str = ""
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class CircuitBreakers:
    """The most that a pool is given at once; 0: no limit. More is answered 503. `retry_percent`: of live requests."""

    max_connections: int = 0
    max_pending_requests: int = 0
    max_requests: int = 0
    retry_percent: float = 20.0


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """Endpoints that fail are left out for a while, the longer the more often. Times in seconds.

    `consecutive_errors`: 5xx answers and failed connections in a row. At most `max_ejected_percent` are out at once.
    """

    consecutive_errors: int = 5
    interval: float = 1.0
    ejection_time: float = 30.0
    max_ejected_percent: int = 50


@dataclass(frozen=True, slots=True)
class Discovery:
    """Where a pool's endpoints come from, beside those that it lists. At most one is given.

    `dns`: `host:port`, every A and AAAA record. `srv`: a name whose SRV records give host, port, weight and priority.
    `file`: a YAML or JSON file with a list of endpoints, read again when it changes. `interval` in seconds, the most
    that a change may take to be seen.
    """

    dns: str = ""
    srv: str = ""
    file: str = ""
    interval: float = 5.0


@dataclass(frozen=True, slots=True)
class BackendPool:
    """A pool. `connect_timeout` in seconds. `protocol` HTTP2 or GRPC: HTTP/2 with prior knowledge to the backend.

    `slow_start`: seconds in which a new endpoint comes to its full share (least connections and round robin); 0: at once.
    `database`: how connections are kept, of a pool of a database protocol; None: as by default.
    `ai`: what speaks for language models there; None: nothing does. `rtmp`: how origins of streams are spoken to; None: as by
    default.
    `hash_table` is for `source_hash` and for routes that are sticky by header or source.
    """

    name: PoolName
    version: Version = Version("v1")
    endpoints: tuple[Endpoint, ...] = ()
    protocol: Protocol = Protocol.HTTP
    health_check: HealthCheck | None = None
    balance: BalancePolicy = BalancePolicy.LEAST_CONNECTIONS
    connect_timeout: float = 1.0
    tls: UpstreamTls | None = None
    breakers: CircuitBreakers = CircuitBreakers()
    outliers: OutlierDetection | None = None
    discovery: Discovery = Discovery()
    slow_start: float = 0.0
    hash_table: HashTable = HashTable.MAGLEV
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    database: DatabasePool | None = None
    ai: AiPool | None = None
    rtmp: RtmpPool | None = None

    @property
    def beyond_http(self) -> bool:
        """Whether its endpoints are database servers or origins of streams, with which no HTTP Envoy has to do."""
        return self.protocol in _BEYOND_HTTP
