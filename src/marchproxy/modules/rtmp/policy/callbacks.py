"""Callbacks: services that are asked over HTTP who may publish and play. Whoever cannot be asked has said no."""

import asyncio
import ssl
from typing import Final

import httpx

from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.plan import Way
from marchproxy.modules.rtmp.policy.claim import Claim, Refusal

_log = get_logger(__name__)
_MOST_AT_ONCE: Final = 64
_KEPT: Final = 16
#: Claims that are being asked about or wait for their turn; more are refused at once.
MOST_WAITING: Final = 2000
#: Of an answer nothing but its status counts; the rest is read as far as this, so that the connection can be kept.
_MOST_READ: Final = 64 * 1024
_QUIET_SECONDS: Final = 10.0
_UNCHECKED = Refusal("unchecked", "it cannot be checked now who may; try again")


class Callbacks:
    """All of a process."""

    def __init__(self, instance: str = "") -> None:
        self._instance = instance
        self._client: httpx.AsyncClient | None = None
        self._making = asyncio.Lock()
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        self._waiting = 0
        self._quiet_until: dict[str, float] = {}

    async def ask(self, way: Way, claim: Claim) -> Refusal | None:
        """Why a service does not grant a claim; None: it does. Within the way's timeout, waiting for a turn included."""
        if self._waiting >= MOST_WAITING:
            self._warn(way.name, f"{MOST_WAITING} clients wait for an answer already")
            return _UNCHECKED
        self._waiting += 1
        try:
            client = await self._connected()  # takes a while the first time, which is not the service's
            async with asyncio.timeout(way.authentication.timeout), self._turns:
                status = await self._post(client, way.authentication.url, claim)
        except TimeoutError:
            self._warn(way.name, f"no answer within {way.authentication.timeout:g} s")
            return _UNCHECKED
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._warn(way.name, str(error) or type(error).__name__)
            return _UNCHECKED
        finally:
            self._waiting -= 1
        if 200 <= status < 300:
            return None
        if status >= 500:
            self._warn(way.name, f"status {status}")
            return _UNCHECKED
        return Refusal("denied", f"{way.name} does not allow it")

    async def close(self) -> None:
        """Hang up."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, client: httpx.AsyncClient, url: str, claim: Claim) -> int:
        said = {
            "action": claim.action.value,
            "vhost": claim.key.vhost,
            "app": claim.key.app,
            "stream": claim.key.name,
            "query": claim.query,
            "client": claim.client,
            "protocol": claim.protocol,
            "instance": self._instance,
        }
        async with client.stream("POST", url, json=said) as response:
            read = 0
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > _MOST_READ:
                    break
            return response.status_code

    async def _connected(self) -> httpx.AsyncClient:
        async with self._making:
            if self._client is None:
                # reading all authorities takes 50 ms, in which no stream must wait
                tls = await asyncio.to_thread(ssl.create_default_context)
                limits = httpx.Limits(max_connections=_MOST_AT_ONCE, max_keepalive_connections=_KEPT)
                self._client = httpx.AsyncClient(timeout=None, trust_env=False, limits=limits, verify=tls)  # noqa: S113 - each way has a time
            return self._client

    def _warn(self, way: str, reason: str) -> None:
        """Not for each of thousands of clients. URLs may have secrets of their own, so the way is named."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until.get(way, 0.0):
            self._quiet_until[way] = now + _QUIET_SECONDS
            _log.warning("a callback cannot say who may, so nobody may", way=way, reason=reason)
