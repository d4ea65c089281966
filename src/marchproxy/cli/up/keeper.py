"""Keeper: keeps one part alive. Starts it, tells when it is ready, starts it again when it dies, ends it."""

import asyncio
import os
import random
import time
from collections.abc import Mapping

from marchproxy.cli.up.child import Child
from marchproxy.cli.up.log import PartLog
from marchproxy.cli.up.parts import Part
from marchproxy.cli.up.readiness import Readiness, ask_ready
from marchproxy.cli.up.report import Report, Tone
from marchproxy.cli.up.restart import Deaths

_START_SECONDS = 60.0  # a manager takes 3 s of CPU, which a busy machine does not give at once
_POLL = 0.05
_LOG_POLL = 0.2


class PartFailed(Exception):
    """A part did not come up the first time; `why` is its own words where it had any."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(f"{part} did not start: {why}")


class Keeper:
    """One part. `run` it until it is cancelled, then `stop` it."""

    def __init__(self, part: Part, environ: Mapping[str, str], report: Report) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self._environ = environ
        self._report = report
        self._log = PartLog(part.log)
        self._child: Child | None = None

    async def run(self) -> None:
        """Keep the part alive until cancelled, which leaves it running. Raises PartFailed before it was ever ready."""
        deaths = Deaths()
        while True:
            started = time.monotonic()
            how = await self._live(started)
            if not self.ready.is_set():
                raise PartFailed(self.part.name, self._last_words(how))
            deaths, pause = deaths.another(lived=time.monotonic() - started, roll=random.random())  # noqa: S311 - spreads load, guards nothing
            when = f"starting it again in {pause:.1f} s" if pause else "starting it again"
            self._say("died", f"{self._last_words(how)}; {when}", Tone.BAD)
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """Ask the part to drain and end; end it when it takes too long. Cancelled: end it at once."""
        child = self._child
        if child is None or child.status is not None:
            return
        self._say("stopping")
        started = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                follower = group.create_task(self._follow_log())
                clean = await child.stop(self.part.stop_seconds)
                follower.cancel()
        except asyncio.CancelledError:
            child.kill()
            raise
        if clean:
            self._say("stopped", f"after {time.monotonic() - started:.1f} s")
        else:
            self._say("killed", f"it did not stop within {self.part.stop_seconds:.0f} s", Tone.BAD)

    def kill(self) -> None:
        """SIGKILL the part, if it runs."""
        if self._child is not None and self._child.status is None:
            self._child.kill()

    async def _live(self, started: float) -> str:
        """One life, from start to death; how it ended."""
        descriptor = self._log.begin()
        try:
            self._child = child = await Child.start(self.part.command, self._environ, descriptor)
        except OSError as error:
            return f"{self.part.command[0]}: {error}"
        finally:
            os.close(descriptor)
        self._say("starting", f"pid {child.pid}")
        async with asyncio.TaskGroup() as group:
            watchers = [
                group.create_task(self._announce_ready(child, started)),
                group.create_task(self._follow_log()),
            ]
            how = await child.exited()
            for watcher in watchers:
                watcher.cancel()
        self._show_log()
        return how

    async def _announce_ready(self, child: Child, started: float) -> None:
        seen = Readiness(ready=False)
        while not seen.ready and time.monotonic() - started < _START_SECONDS:
            await asyncio.sleep(_POLL)
            seen = await ask_ready(self.part.health)
        seconds = time.monotonic() - started
        if seen.ready:
            self._say("ready", f"in {seconds:.1f} s", Tone.GOOD)
            self.ready.set()
            return
        self._log.plain.append(f"not ready after {seconds:.0f} s: {seen.reason}")
        if self.ready.is_set():
            self._say("not ready", seen.reason, Tone.WARNING)
        else:
            await child.stop(self.part.stop_seconds)

    async def _follow_log(self) -> None:
        while True:
            await asyncio.sleep(_LOG_POLL)
            self._show_log()

    def _show_log(self) -> None:
        try:
            remarks = self._log.news()
        except OSError as error:
            self._say("warning", f"its log cannot be read: {error}", Tone.WARNING)
            return
        for remark in remarks:
            if not remark.plain:
                tone = Tone.WARNING if remark.level == "warning" else Tone.BAD
                self._say(remark.level, remark.text, tone)

    def _last_words(self, how: str) -> str:
        return "\n".join([*self._log.plain[-10:], f"({how})"]) if self._log.plain else how

    def _say(self, event: str, detail: str = "", tone: Tone = Tone.CALM) -> None:
        self._report.say(self.part.name, event, detail, tone)
