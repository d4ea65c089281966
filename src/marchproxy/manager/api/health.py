"""Health: the database, the NLBs and every module behind them. For probes in few words, for people in all."""

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, ReadsLive
from marchproxy.manager.desk import Desk
from marchproxy.manager.watching import Health

router = APIRouter()
_GOOD_SECONDS = 1.0


class Probe:
    """What probes are told: asked anew at most once a second, however many of them there are."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asking = asyncio.Lock()
        self._last: tuple[float, Health] | None = None

    async def health(self) -> Health:
        """How everything is."""
        async with self._asking:
            now = self._desk.clock.monotonic()
            if self._last is None or now - self._last[0] > _GOOD_SECONDS:
                self._last = (now, await self._desk.live.health())
            return self._last[1]


@router.get("/api/v1/health", tags=["health"], response_model=Health, summary="How everything is", name="get")
async def get_health(_: ReadsLive, desk: AtDesk) -> Response:
    """Asked now: the database, each NLB, and through it every module; takes 5 s at most."""
    return answer(await desk.live.health())


@router.get("/healthz", include_in_schema=False)
async def healthz(request: Request) -> Response:
    """Whether the manager does its work, and how what it stands on is; 503 when it does not."""
    health = await request.app.state.probe.health()
    return _told(health, serves=health.serves)


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """Whether requests should come here: its database answers. An NLB that is away is seen here, and no reason."""
    health = await request.app.state.probe.health()
    return _told(health, serves=all(part.serves for part in health.parts if part.kind == "database"))


def _told(health: Health, *, serves: bool) -> Response:
    status = HTTPStatus.OK if serves else HTTPStatus.SERVICE_UNAVAILABLE
    return answer(_brief(health), status=status, headers={"Cache-Control": "no-store"})


def _brief(health: Health) -> dict[str, Any]:
    """Names and how they are: who asks may be anybody."""
    return {
        "name": health.name,
        "kind": health.kind,
        "status": health.status.value,
        "parts": [_brief(part) for part in health.parts],
    }
