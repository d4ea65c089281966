"""What the operations endpoint answers, page by page."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from marchproxy.kit.http.messages import Reply, Request
from marchproxy.kit.logs import get_logger

Readiness: TypeAlias = Callable[[], tuple[bool, Mapping[str, object]]]
"""Tells whether the process can do its work, and each check behind that (anything JSON can write)."""
Supplier: TypeAlias = Callable[[], Awaitable[bytes]]
"""Brings further metrics, in Prometheus text format 0.0.4, such as those of an engine."""

_log = get_logger(__name__)
_SUPPLIER_SECONDS = 3.0  # scrapers give up after 10 by default


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one process."""

    registry: CollectorRegistry
    ready: Readiness
    suppliers: Sequence[Supplier] = ()

    async def answer(self, request: Request) -> Reply:
        """Return the reply to a request; never fails because a page does."""
        if request.path not in {"/healthz", "/readyz", "/metrics"}:
            return Reply(HTTPStatus.NOT_FOUND, b"not found; here are /healthz, /readyz and /metrics\n")
        if request.method not in {"GET", "HEAD"}:
            return Reply(
                HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n", headers=(("Allow", "GET, HEAD"),)
            )
        try:
            match request.path:
                case "/healthz":
                    return _json(HTTPStatus.OK, {"status": "live"})
                case "/readyz":
                    return self._readiness()
                case _:
                    return await self._metrics()
        except Exception:  # noqa: BLE001 - whatever a check or a collector raises, the prober gets an answer
            _log.exception("page failed", path=request.path)
            return Reply(HTTPStatus.INTERNAL_SERVER_ERROR, b"this page failed; the log says why\n")

    def _readiness(self) -> Reply:
        ready, checks = self.ready()
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(status, {"ready": ready, "checks": dict(checks)})

    async def _metrics(self) -> Reply:
        parts = [generate_latest(self.registry)]
        for supplier in self.suppliers:
            try:
                async with asyncio.timeout(_SUPPLIER_SECONDS):
                    parts.append(await supplier())
            except Exception:  # noqa: BLE001 - an engine that is down must not hide the metrics of the process
                _log.exception("metrics of one part are missing")
        text = b"".join(part if part.endswith(b"\n") or not part else part + b"\n" for part in parts)
        return Reply(HTTPStatus.OK, text, CONTENT_TYPE_PLAIN_0_0_4)


def _json(status: HTTPStatus, value: object) -> Reply:
    return Reply(status, json.dumps(value, default=str).encode() + b"\n", "application/json")
