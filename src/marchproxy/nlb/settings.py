"""Settings of an NLB process: the section `nlb` of a document."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from marchproxy.engines.envoy.section import EnvoySection
from marchproxy.kit.files import default_state_dir
from marchproxy.kit.grpc.tls import ChannelTls, TlsSettings
from marchproxy.kit.settings.load import Section
from marchproxy.kit.settings.types import HostPort, Seconds
from marchproxy.kit.telemetry import TracingSection

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Positive = Annotated[Seconds, Field(gt=0)]


class NlbEnvoy(EnvoySection):
    """The Envoy that moves the bytes of TCP listeners."""

    admin: HostPort = HostPort("127.0.0.1", 9902)
    concurrency: Annotated[int, Field(ge=1, le=1024)] | None = 1
    """Worker threads. Load balancing state is per worker, so few workers balance better; none: one for each core."""


class NlbKernel(Section):
    """The kernel's forwarding (nftables)."""

    keep_source: bool = False
    """Modules on other hosts see clients' addresses. Only where their answers to clients come back through this host."""


class NlbRelay(Section):
    """The relay that tells protocols apart by their first bytes."""

    workers: Annotated[int, Field(ge=1, le=64)] | None = 1
    """Processes. Least connections and turns are per process, so few balance better; none: one for each core."""

    def count(self) -> int:
        """How many processes that is."""
        return self.workers or len(os.sched_getaffinity(0))


class NlbConnectionLog(Section):
    """A line of JSON for each connection through Envoy, when it ends."""

    path: Path
    """The file that lines are added to; its folder must exist."""
    sample_percent: Annotated[float, Field(ge=0, le=100)] = 100.0
    """Of how many connections, drawn at random."""


class NlbSettings(Section):
    """One NLB process."""

    id: Name = "nlb-1"
    """Its name, in logs, metrics and as Envoy's node id."""
    grpc: HostPort = HostPort("127.0.0.1", 50050)
    """Where NLBService is served."""
    metrics: HostPort = HostPort("127.0.0.1", 9091)
    """Where /healthz, /readyz and /metrics are served."""
    state_dir: Path | None = None
    """What must survive a restart, in a folder named like the NLB; none: under the system's state folder."""
    envoy: NlbEnvoy = NlbEnvoy()
    """The Envoy that moves the bytes."""
    kernel: NlbKernel = NlbKernel()
    """How the kernel forwards, for the listeners that it carries."""
    relay: NlbRelay = NlbRelay()
    """The relay's processes, for the listeners that it carries."""
    connection_log: NlbConnectionLog | None = None
    """Log connections. Default: none are logged."""
    heartbeat_interval: Positive = 10.0
    """How often modules are expected to report; modules and NLBs of one system must agree on it."""
    missed_unhealthy: int = Field(default=3, ge=1, le=1000)
    """After so many missed heartbeats an instance gets no new connections."""
    missed_removed: int = Field(default=6, ge=2, le=1000)
    """After so many missed heartbeats an instance is forgotten."""
    drain_seconds: Seconds = 30.0
    """How long open connections may go on when the NLB stops or an instance leaves gracefully."""
    scaling_interval: Positive = 30.0
    """How often the number of instances is decided on."""
    scaling_window: Seconds = 300.0
    """Instances are removed only when so long none of them was needed."""
    tls: TlsSettings | None = None
    """TLS of the gRPC server. Default: none."""
    module_tls: ChannelTls | None = None
    """TLS of the calls to modules. Default: none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged, on stderr."""
    tracing: TracingSection | None = None
    """Where spans go; none: where the file's own section `tracing` says."""

    @model_validator(mode="after")
    def _removed_after_unhealthy(self) -> "NlbSettings":
        if self.missed_removed <= self.missed_unhealthy:
            raise ValueError(
                f"missed_removed ({self.missed_removed}) must be more than missed_unhealthy ({self.missed_unhealthy})"
            )
        return self

    @property
    def longest_call(self) -> float:
        """Seconds that a call over gRPC may take whose client sets no deadline: a graceful UnregisterModule drains."""
        return self.drain_seconds + 30.0

    def directory(self) -> Path:
        """Where this NLB keeps its state; not created here."""
        return (self.state_dir or default_state_dir()) / self.id
