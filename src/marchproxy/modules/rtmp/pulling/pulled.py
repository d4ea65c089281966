"""Pulled: a stream of an origin, for a packager: played by a connection of ours, and by another one when that ends."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.pulling.dialogue import Over, PlayDialogue
from marchproxy.modules.rtmp.session.link import Link
from marchproxy.modules.rtmp.streams.tap import Tap
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.handshake import NOISE
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)
_AGAIN_SECONDS: Final = 1.0
#: Of silence, for which a connection is kept.
_SILENCE_SECONDS: Final = 30.0

#: Connects a protocol to the place where the stream is played. Raises OSError.
Dial: TypeAlias = Callable[[asyncio.Protocol], Awaitable[None]]


class Pulled:
    """A Source of one tap. The stream has ended when it could not be played for `patience` seconds."""

    def __init__(
        self, key: StreamKey, dial: Dial, group: asyncio.TaskGroup, *, clock: Clock, patience: float
    ) -> None:
        self._key = key
        self._dial = dial
        self._group = group
        self._clock = clock
        self._patience = patience
        self._task: asyncio.Task[None] | None = None

    def tap(self, tap: Tap) -> None:
        """Give it the stream from now on."""
        self._task = self._group.create_task(self._play(tap))

    def untap(self, tap: Tap) -> None:  # noqa: ARG002 - there is one
        """Give it nothing more."""
        if self._task is not None:
            self._task.cancel()

    async def _play(self, tap: Tap) -> None:
        seen_at = self._clock.monotonic()
        while self._clock.monotonic() - seen_at <= self._patience:
            link = _PullLink(self._dialogue(), tap.messages)
            try:
                await self._dial(link)
                reason = await self._until_over(link)
            except OSError as error:
                reason = error.strerror or str(error)
            finally:
                link.abort("done")
            if link.played:
                tap.paused()
                seen_at = self._clock.monotonic()
            _log.info("stream not played", stream=self._key.text, reason=reason)
            await self._clock.sleep(_AGAIN_SECONDS)
        tap.ended()

    async def _until_over(self, link: "_PullLink") -> str:
        while True:
            link.heard = False
            done, _ = await asyncio.wait([link.over], timeout=_SILENCE_SECONDS)
            if done:
                return link.over.result()
            if not link.heard:
                return f"nothing came for {_SILENCE_SECONDS:g} s"

    def _dialogue(self) -> PlayDialogue:
        key = self._key
        return PlayDialogue(
            f"rtmp://{key.vhost or 'localhost'}/{key.app}", key.app, key.name, os.urandom(NOISE)
        )


class _PullLink(Link):
    """`over` is done with why it ended."""

    def __init__(self, dialogue: PlayDialogue, took: Callable[[Sequence[Message]], None]) -> None:
        super().__init__()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.played = self.heard = False
        self._dialogue = dialogue
        self._took = took

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.write(self._dialogue.begin())

    def data_received(self, data: bytes) -> None:
        if self.over.done():
            return
        try:
            said, media = self._dialogue.feed(data)
        except Over as error:
            self._take(error.media)
            self._end(str(error))
            return
        except ProtocolFault as error:
            self._end(str(error))
            return
        if said:
            self.write(said)
        self._take(media)

    def _take(self, media: Sequence[Message]) -> None:
        if media:
            self.played = self.heard = True
            self._took(media)

    def ended(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(reason)

    def _end(self, reason: str) -> None:
        self.over.set_result(reason)
        self.abort("done")
