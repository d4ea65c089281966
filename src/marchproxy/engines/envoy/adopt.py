"""What a starting supervisor does with the Envoy it finds running: adopt the wanted one, end any other."""

import asyncio

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin, ServerState
from marchproxy.engines.envoy.handle import ProcessHandle
from marchproxy.engines.envoy.launch import Launcher
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_PROBE_SECONDS = 2.0
_END_SECONDS = 2.0


async def adopt(launcher: Launcher, admin: EnvoyAdmin) -> ProcessHandle | None:
    """Return the running Envoy when it is what would be started now, else None with none left running.

    `admin` points at the adopted one afterwards. Raises EnvoyMissing. A second Envoy beside a forgotten first would
    share its ports (SO_REUSEPORT) and serve half of the connections with old routes; therefore none is left.
    """
    record = launcher.directory.read_record()
    found = ProcessHandle.open(record.pid, start_ticks=record.start_ticks) if record is not None else None
    if record is not None and found is not None:
        reason = await _why_not(record, launcher, admin)
        if reason is None:
            _log.info("running Envoy adopted", pid=found.pid, admin=str(admin.address))
            return found
        _log.warning("running Envoy replaced", pid=found.pid, reason=reason)
        await _end(found)
    for stray in launcher.find_strays():
        _log.warning("Envoy without a supervisor ended", pid=stray.pid, run_dir=str(launcher.directory.path))
        await _end(stray)
    return None


async def _why_not(record: PidRecord, launcher: Launcher, admin: EnvoyAdmin) -> str | None:
    if record.fingerprint != launcher.fingerprint():
        return "its bootstrap, binary or arguments are not those wanted now"
    address = record.admin or launcher.directory.read_admin()
    if address is None:
        return "its admin API has not answered yet"
    admin.retarget(address)
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
