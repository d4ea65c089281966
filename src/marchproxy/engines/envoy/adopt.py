"""What a starting supervisor does with the Envoys it finds: adopt the one that serves, let an old one finish, end others."""

import asyncio
from dataclasses import dataclass

from marchproxy.engines.envoy import handover, shared_memory
from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin, ServerState
from marchproxy.engines.envoy.handle import ProcessHandle, find_keeper
from marchproxy.engines.envoy.launch import Launched, Launcher
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.engines.envoy.run_directory import Role
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_PROBE_SECONDS = 2.0
_END_SECONDS = 2.0


@dataclass(slots=True)
class Adopted:
    """What was found running. `deaf`: the one that serves has no admin API any more, so it has to be handed over."""

    serving: Launched | None = None
    retired: Launched | None = None
    deaf: bool = False


async def adopt(launcher: Launcher, admin: EnvoyAdmin) -> Adopted:
    """Take over the Envoy that serves when it can be gone on with; otherwise none is left running but an old one.

    `admin` points at the adopted one afterwards. Raises EnvoyMissing. A second Envoy beside a forgotten first would
    share its ports (SO_REUSEPORT) and serve half of the connections with old routes; therefore none is left.
    """
    found = Adopted(_open(launcher, Role.SERVING), _open(launcher, Role.OLD))
    interrupted = await _finish_hand_over(launcher, found)
    if found.serving is not None:
        await _judge(launcher, admin, found, interrupted=interrupted)
    kept = {one.record.pid for one in (found.serving, found.retired) if one is not None}
    known = launcher.directory.read_record()
    used = {0} | ({known.base_id} if known is not None else set())
    for stray in launcher.find_strays():
        pid = stray.handle.pid
        if pid in kept:
            stray.handle.close()
            continue
        _log.warning("Envoy without a supervisor ended", pid=pid, run_dir=str(launcher.directory.path))
        await _end(stray.handle)
        if stray.base_id not in used:
            shared_memory.remove(stray.base_id)
    return found


def _open(launcher: Launcher, role: Role) -> Launched | None:
    record = launcher.directory.read_record(role)
    if record is None:
        return None
    keeper = find_keeper(record.pid)
    handle = ProcessHandle.open(record.pid, start_ticks=record.start_ticks, keeper=keeper)
    return None if handle is None else Launched(handle, record)


async def _finish_hand_over(launcher: Launcher, found: Adopted) -> bool:
    """A supervisor ended in the middle of a hot restart: whichever of the two serves, serves. Whether that was so."""
    record = launcher.directory.read_record(Role.NEXT)
    if record is None:
        return False
    successor = _open(launcher, Role.NEXT)
    if successor is not None and await _has_taken_over(launcher, record):
        _log.warning("hot restart taken up where it was left", pid=record.pid)
        if found.serving is not None:
            handover.promote(launcher, found.serving.record)
            found.retired = found.serving
        found.serving = successor
        return False
    _log.warning("hot restart given up that a supervisor left in the middle", pid=record.pid)
    if successor is not None:
        successor.handle.kill_now()
        successor.handle.close()
    handover.make_room(launcher, record)
    return True


async def _has_taken_over(launcher: Launcher, record: PidRecord) -> bool:
    address = launcher.directory.read_admin()
    if address is None:
        return False
    async with EnvoyAdmin(address, timeout=_PROBE_SECONDS) as admin:
        return await handover.serves(admin, record)


async def _judge(launcher: Launcher, admin: EnvoyAdmin, found: Adopted, *, interrupted: bool) -> None:
    serving = found.serving
    if serving is None:
        return
    reason = await _why_not(serving.record, launcher, admin, interrupted=interrupted)
    if reason is None:
        found.deaf = interrupted and await handover.is_deaf(serving.record, admin.address)
        _log.info("running Envoy adopted", pid=serving.record.pid, admin=str(admin.address))
        return
    _log.warning("running Envoy replaced", pid=serving.record.pid, reason=reason)
    await _end(serving.handle)
    found.serving = None


async def _why_not(
    record: PidRecord, launcher: Launcher, admin: EnvoyAdmin, *, interrupted: bool
) -> str | None:
    if not record.base_id and record.fingerprint != launcher.fingerprint():
        return "its bootstrap, binary or arguments are not those wanted now, and it has no hot restart"
    address = record.admin or launcher.directory.read_admin()
    if address is None:
        return "its admin API has not answered yet"
    admin.retarget(address)
    if interrupted:
        return None  # its successor may have closed its admin API
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            info = await admin.server_info()
    except TimeoutError:
        return f"its admin API does not answer in {_PROBE_SECONDS:g} s"
    except AdminError as error:
        return str(error)
    return "it is draining, and closed listeners stay closed" if info.state is ServerState.DRAINING else None


async def _end(handle: ProcessHandle) -> None:
    try:
        await handle.terminate(_END_SECONDS)
    finally:
        handle.close()
