"""Checking: a real query to each server of a plan, now."""

import asyncio
from collections.abc import Sequence

from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.plan import DblbPlan, Upstream
from marchproxy.modules.dblb.postgres.dialling import touch
from marchproxy.modules.dblb.postgres.inquiry import FAULTS, open_inquiry
from marchproxy.modules.dblb.postgres.login import Credentials
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.service import CHECK_SECONDS, ServerReport

_ROLES = {"t": "replica", "f": "primary"}


async def check_all(plan: DblbPlan, clock: Clock) -> Sequence[ServerReport]:
    """Each server of PostgreSQL's routes; within 3 seconds."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_check(upstream, address, clock))
            for upstream in plan.upstreams_of(Protocol.POSTGRES).values()
            for address in addresses_of(upstream.pool)
        ]
    return [task.result() for task in tasks]


async def _check(upstream: Upstream, address: HostPort, clock: Clock) -> ServerReport:
    started = clock.monotonic()
    role, fault = "unknown", ""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            role = await _role(upstream, address)
    except FAULTS as error:
        fault = str(error) or f"no answer within {CHECK_SECONDS:g} s"
    latency = None if fault else clock.monotonic() - started
    return ServerReport(upstream.name, str(address), role, latency, None, fault)


async def _role(upstream: Upstream, address: HostPort) -> str:
    """As the monitor, or the first user of the pool's file; with neither it is only seen whether the server answers."""
    options = upstream.options
    user = options.monitor or next(iter(upstream.passwords), "")
    if not user:
        await touch(address, upstream.pool.tls)
        return "unknown"
    credentials = Credentials(user, options.monitor_database, upstream.passwords.get(user, ""))
    inquiry = await open_inquiry(address, credentials, upstream.pool.tls)
    try:
        ((answer, *_), *_) = await inquiry.ask("SELECT pg_catalog.pg_is_in_recovery()")
    finally:
        inquiry.end()
    return _ROLES.get(answer or "", "unknown")
