"""Pusher: one stream's copy to one server, for as long as there is the stream. What fails is tried again; nobody waits for it."""

import asyncio
import os
import random
import secrets
import ssl
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import comes
from marchproxy.modules.rtmp.pushing.dialogue import PushDialogue
from marchproxy.modules.rtmp.pushing.link import PushLink
from marchproxy.modules.rtmp.pushing.target import Target
from marchproxy.modules.rtmp.streams.tap import Tap
from marchproxy.wire.rtmp.handshake import NOISE
from marchproxy.wire.rtmp.media import is_keyframe
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)
#: From the first packet until the server takes media.
_START_SECONDS: Final = 10.0
#: For which a server may be without a single GOP because it does not read.
_SLOW_SECONDS: Final = 20.0
#: An attempt that lasted so long was none in vain: the next one comes soon.
_SOUND_SECONDS: Final = 30.0
_PAUSES: Final = Backoff(initial=0.5, maximum=30.0)
_ANY: Final = sys.maxsize


class Source(Protocol):
    """A stream, as pushers know it."""

    def tap(self, tap: Tap) -> None:
        """Give it everything from now on, after what a player that joins now would be given."""
        ...

    def untap(self, tap: Tap) -> None:
        """Give it nothing more; it need not be there."""
        ...


class Pusher:
    """A Tap, when the server takes media. `queue`: bytes that may wait for it; beyond, whole GOPs are left out."""

    def __init__(
        self, source: Source, target: Target, *, queue: int, clock: Clock, pauses: Backoff = _PAUSES
    ) -> None:
        """`pauses`: between two attempts."""
        self.target = target
        self.dropped = 0
        """Messages that the server did not get, because it did not read."""
        self._source = source
        self._queue = queue
        self._pauses = pauses
        self._clock = clock
        self._link: PushLink | None = None
        self._fault = ""
        self._allowance = queue
        self._slow_since: float | None = None
        self._ended = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether its stream has ended."""
        return self._ended.is_set()

    @property
    def words(self) -> str:
        """`ok HOST`, or what is wrong."""
        place = self.target.place
        if self._link is not None and self._link.is_live:
            return f"ok {place}"
        return f"{place}: {self._fault or 'connecting'}"

    async def run(self) -> None:
        """Push until `end`."""
        attempt = 0
        try:
            while not self._ended.is_set():
                began = self._clock.monotonic()
                before, self._fault = self._fault, await self._attempt()
                if self._ended.is_set():
                    return
                if self._fault != before:
                    _log.warning("push failed", server=self.target.place, reason=self._fault)
                attempt = 0 if self._clock.monotonic() - began > _SOUND_SECONDS else attempt + 1
                await comes(self._ended, within=self._pauses.delay(attempt, random.random()))  # noqa: S311 - guards nothing
        finally:
            self._source.untap(self)
            if self._link is not None:
                self._link.end("")

    def messages(self, messages: Sequence[Message]) -> None:
        """As a Tap's."""
        link = self._link
        if link is None or not link.is_live:
            return
        if self._slow_since is not None:
            if self._clock.monotonic() - self._slow_since > _SLOW_SECONDS:
                link.end("it does not read as fast as the stream is published")
                return
            messages = self._resumed(link, messages)
        elif link.queued() > self._allowance:
            self._slow_since = self._clock.monotonic()
            _log.warning("push is slow: whole GOPs are left out", server=self.target.place)
            self.dropped += len(messages)
            return
        elif not link.is_full:
            self._allowance = self._queue
        if messages:
            link.send(messages)

    def paused(self) -> None:
        """As a Tap's: the server waits, too."""

    def ended(self) -> None:
        """As a Tap's."""
        self.end()

    def end(self) -> None:
        """Push no more."""
        self._ended.set()
        self._source.untap(self)
        link, self._link = self._link, None
        if link is not None:
            link.bid_farewell()

    def _resumed(self, link: PushLink, messages: Sequence[Message]) -> Sequence[Message]:
        """From the first keyframe on, if there is room again."""
        if link.queued() <= self._queue // 2:
            for number, message in enumerate(messages):
                if is_keyframe(message.type, message.payload):
                    self._slow_since = None
                    self.dropped += number
                    return messages[number:]
        self.dropped += len(messages)
        return ()

    async def _attempt(self) -> str:
        """Connect and push until that ends; why it did."""
        link = PushLink(PushDialogue(self.target, secrets.token_bytes(NOISE)), self._begin)
        self._link, self._slow_since = link, None
        context = ssl.create_default_context() if self.target.secure else None
        try:
            async with asyncio.timeout(_START_SECONDS):
                # the name is looked up each time: who it stands for may have changed
                await asyncio.get_running_loop().create_connection(
                    lambda: link, self.target.host, self.target.port, ssl=context
                )
                await link.settled.wait()
        except TimeoutError:
            link.end(f"no answer to {link.stage} in time")
        except OSError as error:
            link.end(_words(error))
        return await link.over

    def _begin(self) -> None:
        """The server takes media: from the last keyframe on."""
        self._fault = ""
        self._allowance = _ANY
        _log.info("push begins", server=self.target.place)
        self._source.untap(self)
        self._source.tap(self)
        if self._link is not None:
            self._allowance = self._queue + self._link.queued()  # who has just begun has not read it slowly


def _words(error: OSError) -> str:
    """asyncio puts words of its own in the place of the system's."""
    if error.errno and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error)
