"""Drains one Envoy: fail health checks, ask clients to go, wait for the last connection."""

import asyncio

from marchproxy.engines.envoy.admin import AdminUnreachable, EnvoyAdmin
from marchproxy.kit.clock import Clock

_POLL_SECONDS = 0.1


async def drain_connections(admin: EnvoyAdmin, clock: Clock, deadline_seconds: float) -> int:
    """Return how many downstream connections are left when none is, or at the deadline. Raises AdminError."""
    left: int | None = None
    try:
        async with asyncio.timeout(deadline_seconds):
            await admin.fail_healthcheck()
            await admin.drain_listeners(graceful=True)
            while left := await admin.connections():
                await clock.sleep(_POLL_SECONDS)
    except TimeoutError:
        if left is None:
            raise AdminUnreachable(
                f"Envoy admin {admin.address}: no answer in {deadline_seconds:g} s"
            ) from None
    return left or 0
