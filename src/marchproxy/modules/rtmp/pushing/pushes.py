"""Pushes: all copies of a worker's streams that go to other servers, as their routes say."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from marchproxy.kit.clock import Clock
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.pushing.pusher import Pusher, Source
from marchproxy.modules.rtmp.pushing.target import target_of


class Pushed(Source, Protocol):
    """A live stream, as pushes know it."""

    @property
    def key(self) -> StreamKey:
        """Its key."""
        ...

    @property
    def named(self) -> StreamKey:
        """Its key as its publisher says it."""
        ...

    @property
    def options(self) -> RtmpRoute:
        """Its route's; others from one moment to the next."""
        ...


class Pushes:
    """`group` owns their tasks."""

    def __init__(self, group: asyncio.TaskGroup, *, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._running: dict[str, dict[str, Pusher]] = {}

    def sweep(self, streams: Iterable[Pushed]) -> None:
        """Push these, which are live or wait for their publishers, and no others; call it about once a second."""
        live: set[str] = set()
        for stream in streams:
            live.add(stream.key.text)
            self._follow(stream)
        for key in self._running.keys() - live:
            self._end(self._running.pop(key).values())

    def began(self, stream: Pushed) -> None:
        """A stream is live, which was not there before."""
        self._end(self._running.pop(stream.key.text, {}).values())
        self._follow(stream)

    def words(self, key: str) -> tuple[str, ...]:
        """How the pushes of a stream (`vhost/app/name`) are."""
        return tuple(pusher.words for pusher in self._running.get(key, {}).values())

    def close(self) -> None:
        """End all."""
        for pushers in self._running.values():
            self._end(pushers.values())
        self._running.clear()

    def _follow(self, stream: Pushed) -> None:
        wanted = stream.options.push
        running = {url: one for url, one in self._running.get(stream.key.text, {}).items() if not one.is_over}
        if wanted == tuple(running):
            return
        self._end(pusher for url, pusher in running.items() if url not in wanted)
        kept = {url: running.get(url) or self._begin(stream, url) for url in wanted}
        if kept:
            self._running[stream.key.text] = kept
        else:
            self._running.pop(stream.key.text, None)

    def _begin(self, stream: Pushed, url: str) -> Pusher:
        target = target_of(url, stream.named)
        pusher = Pusher(stream, target, queue=stream.options.queue, clock=self._clock)
        self._group.create_task(pusher.run())
        return pusher

    @staticmethod
    def _end(pushers: Iterable[Pusher]) -> None:
        for pusher in pushers:
            pusher.end()
