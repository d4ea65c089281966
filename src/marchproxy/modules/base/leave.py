"""Leave: an instance that takes nothing new and runs on, until it is told to come back (docs/adr/0047).

It says so itself, with its health, so that every NLB hears of it, also one that is started meanwhile.
"""

from dataclasses import replace

from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import Refused
from marchproxy.modules.base.api.parts import Parts
from marchproxy.modules.base.engine import Parting
from marchproxy.modules.base.running import Running

_log = get_logger(__name__)
#: What an NLB takes to send new connections elsewhere; who is asked to go sooner comes back here.
_LEAVE_SECONDS = 0.3


async def take_leave(parts: Parts) -> str:
    """Have NLBs send nothing new, then ask clients to go; says so. Raises Refused when they could not be asked."""
    parts.core.note(Running.on_leave)
    parts.fleet.health_changed()
    _log.info("drained by request")
    await parts.clock.sleep(_LEAVE_SECONDS)
    if isinstance(parts.core.engine, Parting):
        await parts.core.engine.part(on=True)
    return f"{parts.core.identity.instance_id} takes nothing new until it is told to"


async def take_part(parts: Parts) -> str:
    """Take traffic again; says so. Raises Refused when clients would still be asked to go."""
    if isinstance(parts.core.engine, Parting):
        await parts.core.engine.part(on=False)
    parts.core.note(lambda running: replace(running, draining=False))
    parts.fleet.health_changed()
    _log.info("takes traffic again by request")
    return f"{parts.core.identity.instance_id} takes traffic again"


async def go_on_leave(parts: Parts) -> None:
    """At the start: what the process before us was told still holds. An engine that does not answer is logged."""
    if parts.core.running.draining and isinstance(parts.core.engine, Parting):
        try:
            await parts.core.engine.part(on=True)
        except Refused as refused:
            _log.warning("clients are not asked to go", reason=refused.message)
