"""Settings of one RTMP instance: an entry of `modules` with `type: rtmp`."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.modules.base.settings import ModuleSettings
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.section import LOCAL_SOURCES, ClientTlsSection, ProxySources

#: The settings that are addresses of ports for RTMP, what is spoken there, and whether behind a PROXY header.
TRAFFIC = {
    "traffic": (Protocol.RTMP, False),
    "proxy_traffic": (Protocol.RTMP, True),
    "rtmps": (Protocol.RTMPS, False),
    "rtmps_proxy": (Protocol.RTMPS, True),
}
#: The settings that are addresses of TCP ports which the module opens.
ADDRESSES = ("grpc", "health", "metrics", *TRAFFIC, "playback", "playback_proxy")
_MOST_WORKERS_BY_DEFAULT = 4
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made there


class RtmpSettings(ModuleSettings):
    """One instance of the RTMP module. A port of 0 anywhere is chosen by the system."""

    type: Literal["rtmp"]
    grpc: HostPort = HostPort("127.0.0.1", 50054)
    """Where ModuleService listens; the NLB and the manager call it there."""
    health: HostPort = HostPort("127.0.0.1", 8084)
    """HTTP /healthz and /readyz."""
    metrics: HostPort = HostPort("127.0.0.1", 9094)
    """HTTP /metrics for Prometheus."""
    traffic: HostPort | None = HostPort("127.0.0.1", 1935)
    """RTMP: publishers and players, or an NLB that keeps their addresses by itself; none: closed."""
    proxy_traffic: HostPort | None = None
    """The same behind a PROXY protocol v2 header, which every connection must begin with; none: closed."""
    rtmps: HostPort | None = None
    """RTMP within TLS, with the certificate of `client_tls`; none: closed. 1936 is usual."""
    rtmps_proxy: HostPort | None = None
    """The same behind a PROXY protocol v2 header; none: closed."""
    playback: HostPort | None = HostPort("127.0.0.1", 8088)
    """HTTP: HLS and DASH; none: closed."""
    playback_proxy: HostPort | None = None
    """The same behind a PROXY protocol v2 header; none: closed."""
    proxy_sources: ProxySources = LOCAL_SOURCES
    """The networks of the NLBs: only they may connect to the ports behind a PROXY header, or a client could forge its
    address."""
    client_tls: ClientTlsSection | None = None
    """TLS with clients at the ports for RTMPS. Nothing to do with `tls`, which is gRPC's."""
    workers: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes that share the ports; each stream is in one of them. None: one for each core, at most 4."""
    bandwidth: Annotated[int, Field(ge=0)] = 0
    """kbit/s that may be sent to everybody together; 0: not known. An instance that has less left than a stream needs says so
    when it is asked whether it can take it."""
    media_dir: Path | None = None
    """Where segments and playlists are kept, each instance's in a folder of its own there; none: in memory (/dev/shm) where
    there is such a folder and no `state_dir` is given, else beside the state."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not self.ports():
            raise ValueError(f"no port for clients: give one of {', '.join(TRAFFIC)}")
        encrypted = [name for name in ("rtmps", "rtmps_proxy") if getattr(self, name) is not None]
        if encrypted and self.client_tls is None:
            raise ValueError(f"{encrypted[0]} needs client_tls: a certificate, or names in self_signed")
        if self.client_tls is not None and not encrypted:
            raise ValueError(
                "client_tls is for rtmps and rtmps_proxy; give one of them an address, or remove it"
            )
        return self

    def ports(self) -> tuple[Port, ...]:
        """The ports for RTMP."""
        found: list[tuple[str, Protocol, HostPort | None, bool]] = [
            (name, protocol, getattr(self, name), proxied) for name, (protocol, proxied) in TRAFFIC.items()
        ]
        return tuple(
            Port(name, protocol, address, proxied)
            for name, protocol, address, proxied in found
            if address is not None
        )

    def playback_ports(self) -> tuple[Port, ...]:
        """The ports for HLS and DASH."""
        found = (("playback", self.playback, False), ("playback_proxy", self.playback_proxy, True))
        return tuple(
            Port(name, Protocol.HLS, address, proxied)
            for name, address, proxied in found
            if address is not None
        )

    def worker_count(self) -> int:
        """How many processes there are."""
        return self.workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS_BY_DEFAULT)

    def own_media_dir(self) -> Path:
        """Where segments and playlists are kept; not made yet."""
        if self.media_dir is not None:
            return self.media_dir / self.id
        if _SHARED_MEMORY.is_dir() and self.state_dir is None:
            return _SHARED_MEMORY / f"marchproxy-{self.id}"
        return self.own_state_dir() / "media"
