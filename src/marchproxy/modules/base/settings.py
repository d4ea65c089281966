"""Settings that every module has."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from marchproxy.kit.files import default_state_dir
from marchproxy.kit.grpc import ChannelTls, TlsSettings
from marchproxy.kit.listening import own_address
from marchproxy.kit.settings import HostPort, Seconds, Section
from marchproxy.kit.telemetry import TracingSection

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})

LogLevel = Literal["debug", "info", "warning", "error"]


class ModuleSettings(Section):
    """One instance of a module."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Unique among all instances of all modules."""
    type: Literal["alb", "dblb", "ailb", "rtmp"]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = "v1"
    """The version that blue/green between instances of one module type goes by."""
    grpc: HostPort = HostPort("127.0.0.1", 50051)
    """Where ModuleService listens; the NLB and the manager call it there."""
    health: HostPort = HostPort("127.0.0.1", 8080)
    """HTTP /healthz and /readyz."""
    metrics: HostPort = HostPort("127.0.0.1", 9090)
    """HTTP /metrics for Prometheus."""
    nlbs: tuple[HostPort, ...] = ()
    """The gRPC address of every NLB to register with."""
    state_dir: Path | None = None
    """Where the instance keeps its last good state; none: a folder of its own under the system's state folder."""
    heartbeat_interval: Annotated[Seconds, Field(gt=0)] = 10.0
    """The NLB calls an instance unhealthy after 3 missed heartbeats and forgets it after 6."""
    metrics_interval: Annotated[Seconds, Field(ge=0.2)] = 5.0
    """How often the engine is asked for its counts; GetStats and GetMetrics answer from the last round."""
    tls: TlsSettings | None = None
    """TLS of the gRPC server, with `client_ca` mutual; none: plain."""
    nlb_tls: ChannelTls | None = None
    """TLS of the calls to the NLBs; none: plain."""
    drain_seconds: Seconds = 30.0
    """How long a stop waits for connections to end by themselves."""
    max_connections: Annotated[int, Field(ge=0)] = 0
    """What the instance says it can carry at once; 0: no statement."""
    advertise: str = ""
    """The host that the NLB and others reach this instance by; empty: the address it listens on, or, where that is
    every address, this machine's own."""
    log_level: LogLevel = "info"
    tracing: TracingSection | None = None
    """Where spans go; none: where the file's own section `tracing` says."""

    def reachable(self, listening: HostPort, port: int | None = None) -> HostPort:
        """The address that others use for one we listen on; `port` where the system chose it."""
        host = self.advertise or listening.host
        if host in _EVERY_ADDRESS:
            host = own_address()
        return HostPort(host, listening.port if port is None else port)

    def own_state_dir(self) -> Path:
        """Where this instance keeps its state; not made yet."""
        return (self.state_dir or default_state_dir()) / self.id

    def kept_state(self) -> Path:
        """The file in which is kept what this instance runs."""
        return self.own_state_dir() / "state.json"
