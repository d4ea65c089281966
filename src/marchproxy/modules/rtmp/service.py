"""Service: the streams of a worker, as the worker knows them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from marchproxy.kit.clock import Clock
from marchproxy.model.live_stream import StreamReport
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RtmpPlan
from marchproxy.modules.rtmp.session.turns import Turns
from marchproxy.modules.rtmp.tally import Tallies

#: How long a service waits for each origin that it asks for a check.
CHECK_SECONDS = 2.5


@dataclass(slots=True)
class Surroundings:
    """What a service is given. `worker` of `workers`; `folder`: where the processes of an instance have their sockets;
    `media`: where segments and playlists go. `local`: where ffmpeg finds a port of ours, as `host:port`; empty: there is none.
    """

    group: asyncio.TaskGroup
    clock: Clock
    tallies: Tallies
    worker: int = 0
    workers: int = 1
    folder: Path = Path()
    media: Path = Path()
    instance: str = ""
    instances: int = 1
    """Among how many instances limits are divided, by the plan that is applied last or just now."""
    turns: Turns = field(default_factory=Turns)
    """In which connections that bring media are read."""


@dataclass(frozen=True, slots=True)
class OriginReport:
    """An origin of a pool, as it was last seen: `fault` empty: none; `latency` seconds of its last answer to a handshake."""

    pool: str
    address: str
    fault: str = ""
    latency: float | None = None
    streams: int = 0
    players: int = 0
    bitrate: float = 0.0


class StreamService(Protocol):
    """All streams of one worker."""

    def apply(self, plan: RtmpPlan) -> None:
        """Serve by this from now on. A stream stays with its route and origin as long as these are there; an origin that is
        gone, or a pool that its route has no more, is left at the next keyframe."""
        ...

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """The protocol of a client that has just connected; TLS has begun before."""
        ...

    def sweep(self) -> None:
        """Called about once a second."""
        ...

    def clients(self) -> int:
        """How many clients are connected."""
        ...

    def streams(self) -> Sequence[StreamReport]:
        """The streams that this worker owns."""
        ...

    def origins(self) -> Sequence[OriginReport]:
        """The origins as they were last seen."""
        ...

    async def check(self) -> Sequence[OriginReport]:
        """The origins, each asked for a handshake now; must answer within 3 seconds."""
        ...

    async def watch(self, key: str, viewers: int = 0) -> str:
        """Somebody wants to see a stream (`vhost/app/name`) by HLS or DASH, as one of so many: package it for a while. Empty:
        its playlists are there; otherwise why not. Answers within 10 seconds."""
        ...

    def drain(self) -> None:
        """The worker will end: tell clients to go elsewhere where they can be told; close the others when their time is up."""
        ...

    def close(self) -> None:
        """End everything now."""
        ...
