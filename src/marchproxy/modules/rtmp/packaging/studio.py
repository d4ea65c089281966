"""Studio: the packagers of a worker: begun with a stream or when somebody watches, ended when nobody does any more."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from marchproxy.engines.ffmpeg.probe import Encoders
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import comes
from marchproxy.model.rtmp import Packaging
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.packaging.packager import Packager
from marchproxy.modules.rtmp.packaging.place import folder_of
from marchproxy.modules.rtmp.streams.tap import Tap
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)
#: How long somebody waits for a stream's first segment: a GOP or two.
_FIRST_SECONDS = 9.5
#: While somebody watches, it is said every few seconds.
_RECENT_SECONDS = 15.0
_STRAYS_SECONDS, _STRAY_SECONDS = 60.0, 900.0


class Source(Protocol):
    """A live stream, as packagers know it."""

    def tap(self, tap: Tap) -> None:
        """Give it everything from now on, after what a player that joins now would be given."""
        ...

    def untap(self, tap: Tap) -> None:
        """Give it nothing more; it need not be there."""
        ...


class Studio:
    """All packagers of one worker."""

    def __init__(self, group: asyncio.TaskGroup, media: Path, *, clock: Clock) -> None:
        self._group = group
        self._media = media
        self._clock = clock
        self._encoders = Encoders()
        self._sets: dict[str, _Set] = {}
        self._swept_at = clock.monotonic()

    def began(self, key: StreamKey, source: Source, packaging: Packaging | None) -> None:
        """A stream is live. It is packaged at once, if its route wants that."""
        if packaging is not None and not packaging.on_demand:
            self._group.create_task(self._begin(key, source, packaging))

    async def watch(
        self, key: StreamKey, source: Source | None, packaging: Packaging | None, viewers: int = 0
    ) -> str:
        """Somebody wants to see a stream, as one of so many: package it for a while. Empty: its lists are there; otherwise
        why not."""
        if source is None:
            return "nobody publishes this stream now"
        if packaging is None:
            return "the route of this stream has no packaging"
        one = await self._begin(key, source, packaging)
        one.watched_at, one.viewers = self._clock.monotonic(), viewers
        if await comes(one.packager.listed, within=_FIRST_SECONDS):
            return ""
        return (
            one.packager.trouble or "there is no whole segment yet: the publisher has sent no second keyframe"
        )

    def has(self, key: str) -> bool:
        """Whether a stream is being packaged."""
        one = self._sets.get(key)
        return one is not None and one.ended_at is None

    def renditions(self, key: str) -> tuple[str, ...]:
        """What is packaged of a stream (`vhost/app/name`)."""
        return self._sets[key].packager.renditions if key in self._sets else ()

    def viewers(self, key: str) -> int:
        """How many watch a stream, as was said of late."""
        one = self._sets.get(key)
        recent = one is not None and self._clock.monotonic() - one.watched_at < _RECENT_SECONDS
        return one.viewers if one is not None and recent else 0

    def sweep(self) -> None:
        """End those that nobody watches, and forget streams that have ended; call it about once a second."""
        now = self._clock.monotonic()
        for one in self._sets.values():
            if one.is_stale(now):
                one.leave(forget=True)
        if now - self._swept_at > _STRAYS_SECONDS:
            self._swept_at = now
            self._group.create_task(
                asyncio.to_thread(remove_strays, self._media, self._clock.now().timestamp())
            )

    def close(self) -> None:
        """End all; another worker goes on with what is there."""
        for one in self._sets.values():
            one.leave(forget=False)

    async def _begin(self, key: StreamKey, source: Source, packaging: Packaging) -> "_Set":
        one = self._sets.get(key.text)
        if one is not None and one.ended_at is not None and one.options == packaging:
            one.begin_again(source)
            return one
        while one is not None and (one.leaving or one.ended_at is not None):
            one.leave(forget=True)
            await one.gone.wait()
            one = self._sets.get(key.text)
        if one is None:
            folder = folder_of(self._media, key)
            packager = Packager(key.text, folder, packaging, clock=self._clock, encoders=self._encoders)
            one = self._sets[key.text] = _Set(packager, folder, packaging, source, self._clock)
            self._group.create_task(self._run(key.text, one))
            _log.info("packaging begins", stream=key.text)
            source.tap(one)
        return one

    async def _run(self, key: str, one: "_Set") -> None:
        try:
            await one.run()
        finally:
            one.leave(forget=False)  # when it has failed: nobody is to feed it any more
            del self._sets[key]
            one.gone.set()


class _Set:
    """A packager at work; a Tap."""

    def __init__(
        self, packager: Packager, folder: Path, options: Packaging, source: Source, clock: Clock
    ) -> None:
        self.packager = packager
        self.options = options
        self.watched_at = clock.monotonic()
        self.viewers = 0
        self.ended_at: float | None = None
        self.leaving = False
        self.gone = asyncio.Event()
        self._source = source
        self._folder = folder
        self._clock = clock
        self._forgets = False

    async def run(self) -> None:
        """Write until it is left."""
        await self.packager.run()
        if self._forgets:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def is_stale(self, now: float) -> bool:
        """Whether nobody can want it any more."""
        if self.ended_at is not None:
            return now - self.ended_at > max(self.options.linger, self.packager.span)
        return self.options.on_demand and now - self.watched_at > self.options.linger

    def begin_again(self, source: Source) -> None:
        """The stream is live again after its end."""
        self.ended_at = None
        self._source = source
        self.packager.begin_again()
        source.tap(self)

    def messages(self, messages: Sequence[Message]) -> None:
        """As a Tap's."""
        self.packager.take(messages)

    def paused(self) -> None:
        """As a Tap's."""
        self.packager.pause()

    def ended(self) -> None:
        """As a Tap's."""
        self.packager.end()
        self.ended_at = self._clock.monotonic()

    def leave(self, *, forget: bool) -> None:
        """Stop, without telling viewers that it has ended; `forget`: what is there goes. A second time is no news."""
        if not self.leaving:
            self.leaving, self._forgets = True, forget
            self._source.untap(self)
            self.packager.stop()


def remove_strays(media: Path, now: float) -> None:
    """Remove folders that nobody has written to for long: their worker died, and the stream has not come back."""
    for folder in media.iterdir():
        try:
            if folder.is_dir() and now - folder.stat().st_mtime > _STRAY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
                _log.info("what was left of a stream is removed", folder=str(folder))
        except FileNotFoundError:
            continue  # another worker was first
