"""Origins that do as they are told, and a hall that balances over them."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import cast

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import Isolating
from marchproxy.model.module import PoolName, Protocol, Version
from marchproxy.model.pool import BackendPool, Endpoint, HealthCheck, UpstreamTls
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.modules.rtmp.balancing.hall import Balancing
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan, Upstream
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.session.dialogue import Dialogue
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.modules.rtmp.tally import Tallies
from marchproxy.wire.rtmp import answers
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import AUDIO, DATA_TYPES, VIDEO, Message
from tests.unit.modules.rtmp.session.crafted import PLAYER, PUBLISHER, Speaker
from tests.unit.modules.rtmp.streams.crafted import KEY, FakeClient

_STARTED = {Action.PUBLISH: Code.PUBLISH_START, Action.PLAY: Code.PLAY_START}


class Session(asyncio.Protocol):
    """A connection that an origin has."""

    def __init__(self, origin: "ScriptedOrigin") -> None:
        self.origin = origin
        self.dialogue = Dialogue()
        self.handshake: ServerHandshake | None = ServerHandshake(bytes(NOISE))
        self.transport: asyncio.Transport | None = None
        self.heard: list[Message] = []
        self.has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.origin.sessions.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.has_ended = True

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        match self.origin.does:
            case "hang up":
                self.transport.close()
                return
            case "garbage":
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200)
                return
        if self.handshake is not None:
            self.transport.write(self.handshake.feed(data))
            if not self.handshake.done:
                return
            data, self.handshake = self.handshake.leftover, None
        had_wish = self.dialogue.wish is not None
        self.heard += self.dialogue.feed(data)
        self.transport.write(self.dialogue.take_out())
        if self.dialogue.wish is not None and not had_wish:
            self._answer(self.dialogue.wish.action)

    def _answer(self, action: Action) -> None:
        if self.origin.does == "refuse":
            self.says(answers.status(Code.PUBLISH_DENIED, "not here", level=Level.ERROR).message(1))
            return
        if self.origin.does == "busy":
            self.origin.does = "serve"
            self.says(answers.status(Code.PUBLISH_BAD_NAME, "busy", level=Level.ERROR).message(1))
            return
        if self.origin.does == "no players" and action is Action.PLAY:
            return
        if self.origin.does != "ponder":
            self.take(action)

    def take(self, action: Action) -> None:
        """Say yes."""
        self.says(answers.status(_STARTED[action], "go").message(1))
        self.heard += self.dialogue.grant()
        if self.origin.does == "kick":
            assert self.transport is not None
            self.transport.close()

    @property
    def action(self) -> Action | None:
        """What is wanted of it, if that is known."""
        return None if self.dialogue.wish is None else self.dialogue.wish.action

    def says(self, *messages: Message | Command) -> None:
        """To its client."""
        assert self.transport is not None
        self.dialogue.say(*messages)
        self.transport.write(self.dialogue.take_out())

    @property
    def media(self) -> list[tuple[int, bytes]]:
        """The times and payloads that were heard."""
        return [(one.timestamp, one.payload) for one in self.heard if one.type in {AUDIO, VIDEO}]

    @property
    def metadata(self) -> list[bytes]:
        return [one.payload for one in self.heard if one.type in DATA_TYPES]


class ScriptedOrigin:
    """`does`: serve, refuse, hang up, garbage, busy (the first time), no players (it lets these wait), ponder (all), kick."""

    def __init__(self, does: str = "serve") -> None:
        self.does = does
        self.sessions: list[Session] = []
        self.address = ""
        self._server: asyncio.Server | None = None

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        port = int(self.address.rpartition(":")[2]) if self.address else 0
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), "127.0.0.1", port, ssl=tls)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def die(self) -> None:
        """Break all connections, and take none any more."""
        await self.close()
        for session in self.sessions:
            if session.transport is not None:
                session.transport.abort()

    def of(self, action: Action) -> list[Session]:
        """Those that publish or play, and have not ended."""
        return [one for one in self.sessions if one.action is action and not one.has_ended]

    async def one(self, action: Action) -> Session:
        """The only one, when it is there."""
        await eventually(lambda: len(self.of(action)) == 1)
        return self.of(action)[0]


class LeapingClock(SystemClock):
    """The machine's, that many seconds ahead."""

    ahead = 0.0

    def monotonic(self) -> float:  # type: ignore[override]
        """As a Clock's."""
        return time.monotonic() + self.ahead


class Rig:
    """A hall and its origins, all of one pool."""

    def __init__(
        self, hall: Balancing, origins: Sequence[ScriptedOrigin], tallies: Tallies, clock: LeapingClock
    ) -> None:
        self.hall, self.origins, self.tallies, self.clock = hall, origins, tallies, clock
        self.options = RtmpRoute(grace=0.3)
        self.tls: UpstreamTls | None = None
        self.plan = self.use(*origins)

    def use(
        self,
        *origins: ScriptedOrigin,
        name: str = "p",
        before: tuple[ScriptedOrigin, str] | None = None,
        **options: object,
    ) -> RoutePlan:
        """Go by a plan with these; `before` is another pool, of one origin, that gets no new streams."""
        self.options = replace(self.options, **options)  # type: ignore[arg-type]
        shares = [(self._upstream(name, origins), 100)]
        if before is not None:
            shares.insert(0, (self._upstream(before[1], before[:1]), 0))
        refs = tuple(BackendRef(upstream.name, share) for upstream, share in shares)
        route = Route(RouteId("r"), backends=refs, rtmp=self.options)
        self.plan = RoutePlan(route, self.options, tuple(shares))
        self.hall.apply(RtmpPlan((self.plan,), {upstream.name: upstream for upstream, _ in shares}))
        return self.plan

    def _upstream(self, name: str, origins: Sequence[ScriptedOrigin]) -> Upstream:
        endpoints = tuple(Endpoint(origin.address) for origin in origins)
        pool = BackendPool(
            PoolName(name),
            Version("v1"),
            endpoints,
            Protocol.RTMP,
            HealthCheck(interval=3600),
            connect_timeout=5.0,
            tls=self.tls,
        )
        return Upstream(pool)

    def comes(self, action: Action, *more: Message) -> "Comer":
        """A client, if it is let in."""
        return Comer(self, action, more)

    def home(self) -> ScriptedOrigin:
        """The origin where the stream is."""
        return next(one for one in self.origins if one.address == self.hall.streams()[0].origin)

    def other(self) -> ScriptedOrigin:
        """Of two, the one where it is not."""
        return next(one for one in self.origins if one is not self.home())


class Comer:
    """A client and its role, or why it is not let in."""

    def __init__(self, rig: Rig, action: Action, more: Sequence[Message]) -> None:
        self.speaker = Speaker()
        self.client = FakeClient(action, route=rig.plan)
        begin = PUBLISHER if action is Action.PUBLISH else PLAYER
        self.client.recorded = self.speaker.says(*begin, *more)
        self.admitted = rig.hall.admit(self.client.wish, rig.plan, KEY)
        self._reader = ChunkReader()
        self.heard: list[Message] = []
        if hasattr(self.admitted, "begin"):
            self.client.serve(self.admitted)  # type: ignore[arg-type]

    def says(self, *messages: Message | Command) -> None:
        """Beyond its wish."""
        assert self.client.role is not None
        self.client.role.received(self.speaker.says(*messages))

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """What a player has seen by now, with what decoders need first."""
        written, self.client.written = b"".join(self.client.written), []
        self.heard += self._reader.feed(written)
        return [(one.timestamp, one.payload) for one in self.heard if one.type in {AUDIO, VIDEO}]

    async def is_told(self, code: Code) -> None:
        """Wait until it is."""
        found: list[str] = []

        def is_there() -> bool:
            found.extend(self.client.codes())
            return code.value in found

        await eventually(is_there)


@asynccontextmanager
async def balancing(*do: str) -> AsyncIterator[Rig]:
    """A hall over origins that do so."""
    origins = [ScriptedOrigin(does) for does in do]
    async with AsyncExitStack() as stack:
        for origin in origins:
            stack.push_async_callback(origin.die)
            await origin.open()
        group = await stack.enter_async_context(Isolating())
        tallies, clock = Tallies(), LeapingClock()
        hall = Balancing(Surroundings(group, clock, tallies))
        try:
            yield Rig(hall, origins, tallies, clock)
        finally:
            hall.close()


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
