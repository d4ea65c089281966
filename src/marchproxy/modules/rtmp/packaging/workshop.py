"""Workshop: the ladder of one stream over its life: a new one for each era, and another one after a while when it dies."""

import asyncio
import random

from marchproxy.engines.ffmpeg.probe import Encoders
from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.model.rtmp import Packaging
from marchproxy.modules.rtmp.packaging.frames import Frame, Record
from marchproxy.modules.rtmp.packaging.intake import Taken
from marchproxy.modules.rtmp.packaging.ladder import Ladder, Took, rungs_for
from marchproxy.wire.codecs.record import VideoRecord
from marchproxy.wire.rtmp.message import Message

_AGAIN = Backoff(initial=2.0, maximum=60.0)


class Workshop:
    """Feed it the video, and `run` it. Without rungs it does nothing."""

    def __init__(
        self, name: str, options: Packaging, encoders: Encoders, took: Took, *, clock: Clock
    ) -> None:
        self._name = name
        self._options = options
        self._encoders = encoders
        self._took = took
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._config: Message | None = None
        self._ladder: Ladder | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before = 0.0
        self.era = -1
        """The number of the era of the ladder."""

    @property
    def tracks(self) -> tuple[str, ...]:
        """The names of the tracks that are being made."""
        return () if self._ladder is None else self._ladder.tracks

    async def run(self) -> None:
        """Let ladders run until it is cancelled."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    def feed(self, message: Message, taken: Taken, era: int | None) -> None:
        """A message of the video, and the era that it is in; None: in none."""
        if not self._options.rungs:
            return
        if taken.frame is None:
            self._config = message
            return
        if era is None or era != self.era:
            self.pause()
        if era is not None and self._ladder is None and taken.frame.key:
            self._begin(era, taken.record, taken.frame)
        if self._ladder is not None and not self._ladder.feed(message, taken.frame):
            self.pause()

    def pause(self) -> None:
        """End the ladder; the next one begins with a keyframe."""
        task, self._task, self._ladder = self._task, None, None
        if task is not None:
            self._failures = 0
            task.cancel()

    def _begin(self, era: int, record: Record, frame: Frame) -> None:
        height = record.height if isinstance(record, VideoRecord) else 0
        rungs = rungs_for(self._options.rungs, height, passthrough=self._options.passthrough)
        ready = self._group is not None and self._clock.monotonic() >= self._not_before
        if not rungs or self._config is None or self._group is None or not ready:
            return
        self.era = era
        self._ladder = Ladder(rungs, self._config, frame, self._took)
        run = self._ladder.run(self._options.encoder, self._encoders, self._name)
        self._task = self._group.create_task(run)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task is self._task:  # by itself
            self._not_before = self._clock.monotonic() + _AGAIN.delay(self._failures, random.random())  # noqa: S311 - spreads load, guards nothing
            self._failures += 1
            self._task = self._ladder = None
