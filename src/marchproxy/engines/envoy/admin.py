"""Envoy's admin API, typed and with deadlines.

https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin
"""

import asyncio
import json
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

import httpx

from marchproxy.engines.envoy.clusters import (
    BoundListener,
    ClusterStatus,
    MalformedAnswer,
    parse_clusters,
    parse_listeners,
)
from marchproxy.engines.envoy.stats import EnvoyStats, MalformedStats, parse_stats
from marchproxy.kit.settings.types import HostPort

_ANSWER_LIMIT = 64 * 1024 * 1024
_LONG = 256 * 1024
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # bound everywhere, so asked on the loopback
# not the admin's own listener, and not the per-worker shares of each listener
_CONNECTIONS = r"^listener\..*\.downstream_cx_active$"


class AdminError(Exception):
    """The admin API did not do what it was asked."""


class AdminUnreachable(AdminError):
    """Nobody answers, or not within the deadline."""


class AdminRefused(AdminError):
    """Envoy answered with an error, or with something that is not an Envoy's answer."""


class ServerState(Enum):
    """What an Envoy says of itself."""

    LIVE = "LIVE"
    DRAINING = "DRAINING"
    PRE_INITIALIZING = "PRE_INITIALIZING"
    INITIALIZING = "INITIALIZING"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Who answers. `version` is the release; `drain_seconds` its `--drain-time-s`."""

    version: str
    state: ServerState
    node_id: str
    cluster: str
    uptime_seconds: float
    concurrency: int
    drain_seconds: float


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Bytes: in use, reserved by the heap, physical."""

    allocated: int
    heap_size: int
    physical: int


class EnvoyAdmin:
    """One Envoy's admin API. Every call raises AdminUnreachable or AdminRefused; `timeout` in seconds is per call."""

    def __init__(self, address: HostPort, *, timeout: float = 5.0) -> None:
        self._address = address
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None

    @property
    def address(self) -> HostPort:
        """Where it is asked."""
        return self._address

    def retarget(self, address: HostPort) -> None:
        """Ask elsewhere from now on: a restarted Envoy with admin port 0 has another port."""
        self._address = address

    async def ready(self) -> bool:
        """Whether Envoy is LIVE: initialised, including its first xDS answers, and not draining."""
        status, _ = await self._ask("GET", "/ready")
        return status == httpx.codes.OK

    async def server_info(self) -> ServerInfo:
        """Return who answers and its state."""
        body = await self._get("/server_info")
        try:
            info = json.loads(body)
            options = info["command_line_options"]
            return ServerInfo(
                version=info["version"].split("/")[1],
                state=ServerState(info["state"]),
                node_id=info["node"].get("id", ""),
                cluster=info["node"].get("cluster", ""),
                uptime_seconds=_seconds(info["uptime_current_epoch"]),
                concurrency=int(options["concurrency"]),
                drain_seconds=_seconds(options["drain_time"]),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise AdminRefused(f"{self._address} does not answer like an Envoy 1.40: {error!r}") from error

    async def stats(
        self, pattern: str | None = None, *, detailed: bool = False, used_only: bool = False
    ) -> EnvoyStats:
        """Return the statistics whose name matches the RE2 `pattern`.

        `detailed` adds bins, samples and mean to quantiles; `used_only` leaves out what was never written.
        """
        query = {"format": "json", "histogram_buckets": "detailed" if detailed else "summary"}
        if used_only:
            query["usedonly"] = ""
        if pattern is not None:
            query["filter"] = pattern
        body = await self._get("/stats", query)
        try:
            # long answers in a thread, so that the event loop goes on
            return await asyncio.to_thread(parse_stats, body) if len(body) > _LONG else parse_stats(body)
        except MalformedStats as error:
            raise AdminRefused(str(error)) from error

    async def prometheus(self) -> bytes:
        """Return the statistics that were ever written, in the Prometheus text format."""
        return await self._get("/stats/prometheus", {"usedonly": ""})

    async def clusters(self, pattern: str | None = None) -> tuple[ClusterStatus, ...]:
        """Return the clusters, whose name matches the RE2 `pattern`, with their hosts' health and counts."""
        query = {"format": "json"} if pattern is None else {"format": "json", "filter": pattern}
        body = await self._get("/clusters", query)
        try:
            return parse_clusters(body)
        except MalformedAnswer as error:
            raise AdminRefused(str(error)) from error

    async def listeners(self) -> tuple[BoundListener, ...]:
        """Return the active listeners with the ports they are bound to."""
        body = await self._get("/listeners", {"format": "json"})
        try:
            return parse_listeners(body)
        except MalformedAnswer as error:
            raise AdminRefused(str(error)) from error

    async def warming(self) -> int:
        """Return how many clusters are known but wait for their endpoints or first health check."""
        stats = await self.stats(r"^cluster_manager\.warming_clusters$")
        return stats.gauge("cluster_manager.warming_clusters")

    async def connections(self) -> int:
        """Return the open downstream connections over all listeners, without those to this API."""
        stats = await self.stats(_CONNECTIONS)
        return sum(
            value
            for name, value in stats.under("listener.")
            if not name.startswith("admin.") and ".worker_" not in name
        )

    async def memory(self) -> MemoryUsage:
        """Return Envoy's own view of its memory."""
        body = await self._get("/memory")
        try:
            usage = json.loads(body)
            physical = int(usage["total_physical_bytes"])
            return MemoryUsage(int(usage["allocated"]), int(usage["heap_size"]), physical)
        except (ValueError, KeyError, TypeError) as error:
            raise AdminRefused(f"{self._address} does not answer like an Envoy 1.40: {error!r}") from error

    async def fail_healthcheck(self) -> None:
        """Answer health checks with failure and `/ready` with 503; traffic goes on."""
        await self._post("/healthcheck/fail")

    async def ok_healthcheck(self) -> None:
        """Undo `fail_healthcheck`."""
        await self._post("/healthcheck/ok")

    async def drain_listeners(self, *, graceful: bool = True) -> None:
        """Close the listeners: at once, or after `--drain-time-s` in which clients are asked to go. Cannot be undone."""
        await self._post("/drain_listeners", {"graceful": ""} if graceful else {})

    async def reopen_logs(self) -> None:
        """Have it open its access logs anew, by their paths, before the next lines are written."""
        await self._post("/reopen_logs")

    async def quit(self) -> None:
        """End the process cleanly, without a drain."""
        await self._post("/quitquitquit")

    async def close(self) -> None:
        """Close the connections to the API; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _get(self, path: str, query: dict[str, str] | None = None) -> bytes:
        status, body = await self._ask("GET", path, query)
        return self._checked(path, status, body)

    async def _post(self, path: str, query: dict[str, str] | None = None) -> None:
        status, body = await self._ask("POST", path, query)
        self._checked(path, status, body)

    def _checked(self, path: str, status: int, body: bytes) -> bytes:
        if status != httpx.codes.OK:
            raise AdminRefused(f"{path} answered {status}: {body[:500].decode(errors='replace').strip()}")
        return body

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self._timeout,
                trust_env=False,  # a proxy from the environment is never between us and our own Envoy
                verify=False,  # noqa: S501 - plain HTTP only; this skips loading the CA store
                limits=httpx.Limits(max_connections=4, keepalive_expiry=None),
            )
        return self._client

    async def _ask(self, method: str, path: str, query: dict[str, str] | None = None) -> tuple[int, bytes]:
        host = _WILDCARDS.get(self._address.host, self._address.host)
        url = httpx.URL(scheme="http", host=host, port=self._address.port, path=path)
        try:
            async with (
                asyncio.timeout(self._timeout),  # httpx bounds each read, not the whole answer
                self._connected().stream(method, url, params=query) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _ANSWER_LIMIT:
                        raise AdminRefused(f"{path} answered with more than {_ANSWER_LIMIT} bytes")
                return response.status_code, bytes(body)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise AdminUnreachable(
                f"Envoy admin {self._address}: no answer in {self._timeout:g} s"
            ) from error
        except httpx.HTTPError as error:
            raise AdminUnreachable(f"Envoy admin {self._address}: {error or type(error).__name__}") from error


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
