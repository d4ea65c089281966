"""Drains one Envoy: fail health checks, ask clients to go, wait for the last connection."""

import asyncio
from collections.abc import Awaitable, Callable

from marchproxy.engines.envoy.admin import AdminUnreachable, EnvoyAdmin
from marchproxy.kit.clock import Clock

_POLL_SECONDS = 0.1

#: How much of what must not be cut is still under way.
Busy = Callable[[EnvoyAdmin], Awaitable[int]]


async def drain_connections(
    admin: EnvoyAdmin, clock: Clock, deadline_seconds: float, *, busy: Busy = EnvoyAdmin.connections
) -> int:
    """Return what `busy` counts (downstream connections) when that is 0, or at the deadline. Raises AdminError."""
    left: int | None = None
    try:
        async with asyncio.timeout(deadline_seconds):
            await admin.fail_healthcheck()
            await admin.drain_listeners(graceful=True)
            while left := await busy(admin):
                await clock.sleep(_POLL_SECONDS)
    except TimeoutError:
        if left is None:
            raise AdminUnreachable(
                f"Envoy admin {admin.address}: no answer in {deadline_seconds:g} s"
            ) from None
    return left or 0
