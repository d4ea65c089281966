"""Probing: asks each pool something harmless through Envoy's egress, as relays ask it: with TLS, its host name and its credential."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from marchproxy.model.ai import AiPool
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb import asking
from marchproxy.modules.http.resources.clusters import cluster_name

_PATIENCE = 2.0
_AT_ONCE, _MOST = 16, 128
_REFUSALS = frozenset({401, 403})
_FIRST_FAULT = 500


@dataclass(frozen=True, slots=True)
class Probe:
    """What a pool answered, in words, with the milliseconds that it took."""

    answered: bool
    words: str


async def probe(socket: Path, pools: Iterable[BackendPool]) -> Mapping[PoolName, Probe]:
    """Ask the first 128 of these pools, each within 2 s, by whichever endpoint Envoy takes."""
    turns = asyncio.Semaphore(_AT_ONCE)
    asked = [pool for pool in pools if pool.ai is not None][:_MOST]
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://egress") as client:

        async def ask(pool: BackendPool) -> Probe:
            async with turns:
                return await _ask(client, pool)

        async with asyncio.TaskGroup() as group:
            asking_ = {pool.name: group.create_task(ask(pool)) for pool in asked}
    return {name: task.result() for name, task in asking_.items()}


def path_of(ai: AiPool) -> str:
    """Engines say for themselves whether they are well; of others the list of models is what all have."""
    return "/health" if ai.provider.is_engine else f"{ai.base}/models"


async def _ask(client: httpx.AsyncClient, pool: BackendPool) -> Probe:
    path = path_of(pool.ai or AiPool())
    began = time.monotonic()
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            client.stream("GET", path, headers={asking.CLUSTER: cluster_name(pool.name)}) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, TimeoutError) as error:
        return Probe(answered=False, words=f"GET {path}: {str(error) or 'no answer in time'}")
    took = (time.monotonic() - began) * 1000
    words = f"GET {path} answered {status} in {took:.1f} ms"
    if status in _REFUSALS:
        return Probe(answered=False, words=f"{words}: see the pool's credential")
    return Probe(status < _FIRST_FAULT, words)
