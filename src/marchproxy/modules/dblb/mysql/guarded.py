"""Guarded: work for one client, whose failing in a way that nobody foresaw ends that client and nobody else."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from marchproxy.kit.logs import get_logger

if TYPE_CHECKING:
    from marchproxy.modules.dblb.mysql.session import Session

_log = get_logger(__name__)


async def guarded(work: Awaitable[None], session: "Session") -> None:
    """Do the work; raises nothing but CancelledError."""
    try:
        await work
    except Exception:  # noqa: BLE001 - one client's fault must not end all clients of the worker; it is logged in full
        _log.exception("a client is dropped", number=session.number)
        session.transport.abort()
