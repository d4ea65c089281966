"""Moderators: asks over HTTP those whom guardrails name, on connections that are kept."""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote

import httpx

from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.guards.checking import Ask, Said
from marchproxy.modules.ailb.guards.moderation import LONGEST_ANSWER, understand

_log = get_logger(__name__)
_PREFIX = "x-marchproxy-"
_MOST_AT_ONCE = 256
_KEPT = 32
_QUIET_SECONDS = 10.0


class Moderators:
    """One for a process. More than some questions at once wait for others to end, within their own time."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        self._quiet_until: dict[str, float] = {}

    async def ask(self, ask: Ask, about: Mapping[str, str]) -> Said | None:
        """What somebody says of a request; None: there is no answer in time, or none that is understood."""
        guardrail = ask.guardrail
        try:
            async with asyncio.timeout(guardrail.timeout), self._turns:
                data = await self._post(ask, about)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            self._warn(guardrail.name, str(error) or type(error).__name__)
            return None
        said = understand(data) if data is not None else None
        if said is None:
            self._warn(guardrail.name, "the answer is none")
        return said

    async def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._client.aclose()

    async def _post(self, ask: Ask, about: Mapping[str, str]) -> bytes | None:
        fields = {_PREFIX + name: quote(value, safe="/:@.*") for name, value in about.items() if value}
        fields |= {"content-type": "application/json", _PREFIX + "guardrail": quote(ask.guardrail.name)}
        client = self._connected()
        async with client.stream("POST", ask.guardrail.url, content=ask.body, headers=fields) as response:
            if response.status_code != httpx.codes.OK:
                return None
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    return None
            return bytes(body)

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            limits = httpx.Limits(max_connections=_MOST_AT_ONCE, max_keepalive_connections=_KEPT)
            self._client = httpx.AsyncClient(timeout=None, trust_env=False, limits=limits)  # noqa: S113 - each question has a time
        return self._client

    def _warn(self, guardrail: str, reason: str) -> None:
        """Not for each of thousands of requests."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until.get(guardrail, 0.0):
            self._quiet_until[guardrail] = now + _QUIET_SECONDS
            _log.warning("a guardrail has no answer", guardrail=guardrail, reason=reason)
