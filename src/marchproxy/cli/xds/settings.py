"""Settings of the control plane: the section `xds`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from marchproxy.kit.grpc import TlsSettings
from marchproxy.kit.settings import HostPort, Seconds, Section
from marchproxy.modules.base.settings import LogLevel


class NodeSettings(Section):
    """One of `xds.nodes`: for which nodes it counts, and what these are given. In patterns `*` stands for any text."""

    id: str = "*"
    cluster: str = "*"
    metadata: dict[str, str] = Field(default_factory=dict)
    """Fields that the node's metadata must have with exactly these texts."""
    listeners: tuple[str, ...] | None = None
    """The listeners an Envoy opens and a gRPC client may dial; none given: all that can be served."""
    routes: tuple[str, ...] | None = None
    """The routes they are given; none given: all."""


class PlaneSettings(Section):
    """How nodes are served."""

    grpc: HostPort = HostPort("127.0.0.1", 18000)
    """Where nodes fetch their resources (ADS)."""
    status: HostPort | None = HostPort("127.0.0.1", 18001)
    """Where tools ask what became of them (CSDS); null: closed. It shows what any node is given, so nodes need not reach it."""
    tls: TlsSettings | None = None
    """TLS of both gRPC servers, with `client_ca` mutual; none: plain."""
    max_streams: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """Streams open at once; a client beyond is told to try again."""
    nodes: tuple[NodeSettings, ...] = ()
    """The first entry that fits a node counts, and a node that none fits is refused. No entries: all get everything."""
    canary_timeout: Seconds = 5.0
    """How long the rest waits for the node that is given a change first, when it neither takes nor refuses it."""
    push_interval: Seconds = 1.0
    """The least time between two changes for one node; of those that come in between, the newest counts."""
    validate_changes: bool = True
    """Whether an Envoy of our own judges a document before nodes are given anything of it."""
    envoy_binary: Path | None = None
    """Which Envoy judges; none: the one that was installed with MarchProxy, else the one on PATH."""
    resolvers: tuple[HostPort, ...] = ()
    """The DNS servers that are asked for SRV records of pools; none: those of the system."""

    @property
    def knows_nodes(self) -> bool:
        """Whether every node has shown by a certificate who it is, so that it may be given keys."""
        return self.tls is not None and self.tls.client_ca is not None


class XdsSettings(PlaneSettings):
    """How `marchproxy xds` runs."""

    metrics: HostPort = HostPort("127.0.0.1", 9095)
    """HTTP /metrics, /healthz and /readyz."""
    state_dir: Path | None = None
    """Where is kept what nodes were given last, for a start with a file that cannot be used; none: the system's place."""
    log_level: LogLevel = "info"
