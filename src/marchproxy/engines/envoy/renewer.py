"""Renewer: replaces the running Envoy by a hot restart, when somebody asks and when another Envoy is wanted."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.handover import HandOverFailed
from marchproxy.engines.envoy.launch import Launcher
from marchproxy.engines.envoy.life import EnvoyLife
from marchproxy.engines.envoy.renewal import Renewal, fail, look
from marchproxy.engines.envoy.restart import EnvoyState
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_RESTORE_EVERY = 15.0


class Renewer:
    """Changes which Envoy serves, one change at a time.

    `turn` is held meanwhile, `state` tells whether Envoy runs at all, `handed_over` is called after each success.
    """

    def __init__(
        self,
        life: EnvoyLife,
        launcher: Launcher,
        clock: Clock,
        *,
        state: Callable[[], EnvoyState],
        handed_over: Callable[[], None],
    ) -> None:
        self.turn = asyncio.Lock()
        self._life = life
        self._launcher = launcher
        self._clock = clock
        self._state = state
        self._handed_over = handed_over
        self._known = Renewal()
        self._restore_at = 0.0

    @property
    def trouble(self) -> str:
        """What is wrong, for people; empty when nothing is."""
        if self._life.deaf:
            return f"its admin API is closed until the next hot restart; {self._known.trouble}"
        return self._known.trouble

    async def hand_over(self, finish_seconds: float | None = None) -> None:
        """See EnvoyProcess.hand_over."""
        async with self.turn:
            self._check_can_hand_over()
            wanted = self._wanted()
            seconds = finish_seconds or float(self._launcher.handover_seconds)
            try:
                await self._life.hand_over(seconds)
            except HandOverFailed as failed:
                self._known = fail(self._known, wanted, str(failed))
                _log.error("hot restart failed; the Envoy before it serves on", reason=str(failed))
                raise
            self._known = Renewal(seen=wanted)
            self._handed_over()

    async def tend(self) -> None:
        """Look whether another Envoy is wanted than the one that runs, and whether the one before it is done."""
        await self._life.look_after_retired()
        record = self._life.record
        if record is None or self._state() is not EnvoyState.RUNNING or self._life.retired is not None:
            return
        if self._life.deaf:
            await self._restore()
            return
        try:
            wanted = self._wanted()
        except HandOverFailed as error:
            self._known = replace(self._known, trouble=str(error))
            return
        self._known, due = look(self._known, running=record.fingerprint, wanted=wanted)
        if due:
            _log.info("Envoy's binary, bootstrap or arguments have changed: hot restart", pid=record.pid)
            with suppress(HandOverFailed):  # told already
                await self.hand_over()

    async def _restore(self) -> None:
        if self._clock.monotonic() < self._restore_at:
            return
        async with self.turn:
            try:
                await self._life.restore()
            except HandOverFailed as error:
                _log.error("Envoy serves, but its admin API stays closed", reason=str(error))
            else:
                self._handed_over()
            self._restore_at = self._clock.monotonic() + _RESTORE_EVERY

    def _wanted(self) -> str:
        try:
            return self._launcher.fingerprint()
        except (EnvoyMissing, OSError) as error:
            raise HandOverFailed(str(error)) from error

    def _check_can_hand_over(self) -> None:
        if self._state() is not EnvoyState.RUNNING:
            raise HandOverFailed(f"Envoy is {self._state().value}")
        if (retired := self._life.retired) is not None:
            left = retired.seconds_left(self._clock.monotonic())
            open_ = "some" if retired.connections is None else str(retired.connections)
            raise HandOverFailed(
                f"the Envoy before this one finishes {open_} connections still, for {left:.0f} s at most"
            )
