"""Settings of one AILB instance: an entry of `modules` with `type: ailb`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from marchproxy.kit.settings import HostPort
from marchproxy.modules.http.settings import HttpSettings, JudgedEnvoySection

_MOST_RELAYS_BY_DEFAULT = 2


class AiEnvoySection(JudgedEnvoySection):
    """An AILB's Envoy."""

    admin: HostPort = HostPort("127.0.0.1", 9903)
    """Envoy's admin interface."""


class AilbSettings(HttpSettings):
    """One instance of the AILB. Its ports are not those that an ALB has by default."""

    type: Literal["ailb"]
    grpc: HostPort = HostPort("127.0.0.1", 50053)
    """Where ModuleService listens; the NLB and the manager call it there."""
    health: HostPort = HostPort("127.0.0.1", 8083)
    """HTTP /healthz and /readyz."""
    metrics: HostPort = HostPort("127.0.0.1", 9093)
    """HTTP /metrics for Prometheus."""
    traffic: HostPort | None = HostPort("127.0.0.1", 8081)
    """Plain HTTP: clients, or an NLB that keeps the client's address by itself; none: closed."""
    envoy: AiEnvoySection = AiEnvoySection()
    keys_file: Path | None = None
    """More virtual keys, in a YAML file with `virtual_keys`; it is looked at every second. None: the document's alone."""
    relays: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes that streams pass which must be looked at; none: one for each core, at most 2."""

    def relay_count(self) -> int:
        """How many relays there are."""
        return self.relays or min(len(os.sched_getaffinity(0)), _MOST_RELAYS_BY_DEFAULT)
