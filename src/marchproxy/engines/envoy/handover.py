"""Hot restart: one Envoy hands its listening sockets to a successor, and finishes what is open.

Nothing is taken from the Envoy that serves before its successor is known to be one: the binary is tried first, then the
successor must come up. From there on Envoy itself does it (ADR 17).
https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/operations/hot_restart
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

import psutil

from marchproxy.engines.envoy import shared_memory
from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.launch import EnvoyStartError, Launched, Launcher
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.engines.envoy.run_directory import Role
from marchproxy.engines.envoy.trial import UnfitBinary, try_binary
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort

_log = get_logger(__name__)
_READY_SECONDS = 20.0  # the first xDS answers and health checks included; usually 0.2 s
_POLL_SECONDS = 0.05
_EPOCH = "server.hot_restart_epoch"


class HandOverFailed(Exception):
    """The successor did not come up; the Envoy before it serves on. The message says why."""


async def hand_over(
    launcher: Launcher, old: Launched, clock: Clock, finish_seconds: float
) -> tuple[Launched, HostPort]:
    """Start the successor of `old` and return it, with the address of its admin API, once it serves.

    Raises HandOverFailed; then `old` serves as before, but for its admin API, which may be closed (`is_deaf`).
    """
    if not old.record.base_id:
        raise HandOverFailed("the Envoy that runs was started without hot restart; end it to replace it")
    try:
        await try_binary(launcher)
    except UnfitBinary as error:
        raise HandOverFailed(str(error)) from error
    return await _bring_up(launcher, old, clock, lambda: launcher.spawn_next(old.record, finish_seconds))


async def restore(launcher: Launcher, old: Launched, clock: Clock) -> tuple[Launched, HostPort]:
    """As `hand_over`, to another Envoy like `old`: gives back an admin API that a failed successor has closed."""
    try:
        argv = tuple(psutil.Process(old.record.pid).cmdline())
    except psutil.Error as error:
        raise HandOverFailed(f"the running Envoy cannot be looked at: {error}") from error
    return await _bring_up(launcher, old, clock, lambda: launcher.spawn_again(old, argv))


async def is_deaf(record: PidRecord, address: HostPort) -> bool:
    """Whether an Envoy's admin API does not answer, or a later one's does in its place."""
    async with EnvoyAdmin(address, timeout=1.0) as admin:
        try:
            return await epoch_of(admin) != record.epoch
        except AdminError:
            return True


async def epoch_of(admin: EnvoyAdmin) -> int:
    """The epoch of whoever answers. Raises AdminError."""
    return (await admin.stats(rf"^{re.escape(_EPOCH)}$")).gauge(_EPOCH)


async def serves(admin: EnvoyAdmin, record: PidRecord) -> bool:
    """Whether this very Envoy has taken over: it is LIVE, and has told its predecessor to stop listening."""
    with suppress(AdminError, OSError):
        return (
            await epoch_of(admin) == record.epoch
            and await admin.ready()
            and not shared_memory.is_starting(record.base_id)
        )
    return False


async def _bring_up(
    launcher: Launcher, old: Launched, clock: Clock, spawn: Callable[[], Launched]
) -> tuple[Launched, HostPort]:
    try:
        successor = spawn()
    except (EnvoyMissing, EnvoyStartError) as error:
        launcher.directory.forget(Role.NEXT)
        raise HandOverFailed(str(error)) from error
    try:
        address = await _until_serving(launcher, successor, clock)
    except BaseException as error:
        successor.handle.kill_now()
        successor.handle.close()
        make_room(launcher, successor.record)
        if isinstance(error, (OSError, EnvoyStartError)):
            raise HandOverFailed(str(error)) from error
        raise
    launcher.remember(successor, address, Role.NEXT)
    promote(launcher, old.record)
    return successor, address


def promote(launcher: Launcher, old: PidRecord) -> None:
    """Note that the successor of `old` serves. A full disk is logged and costs only a later adoption."""
    try:
        launcher.directory.promote_next(old)
    except OSError as error:
        _log.warning("pid files not updated", reason=str(error))


async def _until_serving(launcher: Launcher, successor: Launched, clock: Clock) -> HostPort:
    pid, waited = successor.record.pid, f"{_READY_SECONDS:g} s passed before it was ready"
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                address = launcher.directory.read_admin()
                if address is not None:
                    async with EnvoyAdmin(address, timeout=2.0) as admin:
                        if await serves(admin, successor.record):
                            return address
                if not successor.handle.alive():
                    ended = await successor.handle.exited()
                    raise launcher.explain_failure(f"{pid} ended ({ended}) before it took over")
                await clock.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise launcher.explain_failure(f"{pid} runs, but {waited}") from None


def make_room(launcher: Launcher, record: PidRecord) -> None:
    """Forget an Envoy that died before it took over, so that another can start in its place."""
    launcher.directory.forget(Role.NEXT)
    try:
        shared_memory.forget_start(record.base_id)
    except OSError as error:
        _log.warning("hot restart is blocked until Envoy is stopped and started", reason=str(error))
