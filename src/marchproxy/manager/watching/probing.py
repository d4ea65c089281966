"""Probing: the health of everything, asked now, each with a deadline; see `Health`."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import nlb_pb2
from marchproxy.kit.clock import Clock
from marchproxy.manager.watching.findings import health_of, moment
from marchproxy.manager.watching.health import Health
from marchproxy.model.module import HealthStatus
from marchproxy.store import StoreUnavailable

if TYPE_CHECKING:
    from marchproxy.store import Store

_DATABASE_SECONDS = 2.0
_NLB_SECONDS = 5.0  # an NLB gives its modules 3
_MODULE = "module "


async def probe(store: "Store", clients: Sequence[Client], clock: Clock) -> Health:
    """The manager, on its database and its NLBs.

    Without the database it is unhealthy; without an NLB, or with one that is not well, degraded: it still shows and
    keeps what is desired.
    """
    async with asyncio.TaskGroup() as group:
        database = group.create_task(_database(store, clock))
        asked = [group.create_task(_nlb(client, clock)) for client in clients]
    parts = (database.result(), *(task.result() for task in asked))
    status, message = judge(parts)
    return Health("manager", "manager", status, message, clock.now(), parts)


def judge(parts: Iterable[Health]) -> tuple[HealthStatus, str]:
    """A manager's health by what it stands on, and why in words."""
    bad = [part for part in parts if part.status is not HealthStatus.HEALTHY]
    if not bad:
        return HealthStatus.HEALTHY, "all is well"
    words = "; ".join(f"{part.name}: {part.message}" for part in bad)
    if any(part.kind == "database" for part in bad):
        return HealthStatus.UNHEALTHY, words
    return HealthStatus.DEGRADED, words


async def _database(store: "Store", clock: Clock) -> Health:
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            head = await store.head()
    except StoreUnavailable as error:
        return Health("database", "database", HealthStatus.UNHEALTHY, str(error), clock.now())
    except TimeoutError:
        words = f"did not answer within {_DATABASE_SECONDS:g} s"
        return Health("database", "database", HealthStatus.UNHEALTHY, words, clock.now())
    words = "answers" if head is None else f"answers; revision {head.number} is in force"
    return Health("database", "database", HealthStatus.HEALTHY, words, clock.now())


async def _nlb(client: Client, clock: Clock) -> Health:
    request = nlb_pb2.CheckHealthRequest(check_modules=True)
    try:
        answer = await client.nlb(
            lambda stub, left: stub.CheckHealth(request, timeout=left), timeout=_NLB_SECONDS
        )
    except CallFailed as error:
        return Health(client.nlb_address, "nlb", HealthStatus.UNHEALTHY, str(error), clock.now())
    return read_health(client.nlb_address, answer)


def read_health(name: str, answer: nlb_pb2.CheckHealthResponse) -> Health:
    """An NLB's answer, with its modules as its parts. One of its modules that is not well leaves it degraded."""
    at = moment(answer.checked_at)
    modules = tuple(
        Health(
            module,
            "module",
            health_of(status) or HealthStatus.UNHEALTHY,
            answer.checks.get(_MODULE + module, "").partition(": ")[2],
            at,
        )
        for module, status in sorted(answer.module_health.items())
    )
    status, message = health_of(answer.status) or HealthStatus.UNHEALTHY, answer.message
    ill = [one.name for one in modules if not one.serves and one.status is not HealthStatus.STOPPING]
    if ill and status is HealthStatus.HEALTHY:
        status, message = HealthStatus.DEGRADED, f"not well: {', '.join(ill)}"
    checks = tuple(
        (key, words) for key, words in sorted(answer.checks.items()) if not key.startswith(_MODULE)
    )
    return Health(name, "nlb", status, message, at, modules, checks)
