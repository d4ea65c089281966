"""Settings that every module has."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from marchproxy.kit.settings import HostPort, Seconds, Section

LogLevel = Literal["debug", "info", "warning", "error"]


class EnvoySection(Section):
    """The Envoy that a module supervises."""

    binary: Path | None = None
    """The Envoy binary; none: the one that was installed with MarchProxy, else the one on PATH."""
    admin: HostPort = HostPort("127.0.0.1", 9901)
    """Envoy's admin API. Keep it on the loopback: it has no authentication."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 1
    """Worker threads; one per core is usual."""
    log_level: Literal["trace", "debug", "info", "warning", "error", "critical", "off"] = "warning"


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
    drain_seconds: Seconds = 30.0
    """How long a stop waits for connections to end by themselves."""
    max_connections: Annotated[int, Field(ge=0)] = 0
    """What the instance says it can carry at once; 0: no statement."""
    log_level: LogLevel = "info"
