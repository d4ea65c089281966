"""The section `envoy` in the settings of every process that supervises one."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from marchproxy.kit.settings import HostPort, Section


class EnvoySection(Section):
    """The Envoy that moves the bytes."""

    binary: Path | None = None
    """Which Envoy to run; none: the one that was installed with MarchProxy, else the one on PATH."""
    admin: HostPort = HostPort("127.0.0.1", 9901)
    """Its admin API. Keep it on the loopback: whoever reaches it can stop Envoy. Port 0: the system chooses."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Worker threads; none: one for each core that this process may use."""
    log_level: Literal["trace", "debug", "info", "warning", "error", "critical", "off"] = "warning"
    """How much Envoy logs, into its own file under the state directory."""

    handover_seconds: Annotated[int, Field(ge=1, le=7 * 24 * 3600)] = 3600
    """For how long an Envoy that was replaced by a hot restart may finish what is open. It ends before when nothing is."""

    def workers(self) -> int:
        """How many worker threads to start."""
        return self.concurrency or len(os.sched_getaffinity(0))
