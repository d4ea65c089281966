"""Metrics: the recent past of figures."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, ReadsLive
from marchproxy.manager.watching import Slice
from marchproxy.model.problem import InvalidValue, Problem

router = APIRouter(prefix="/api/v1/metrics", tags=["metrics"])
_HOUR = 3600.0
_MOST_VALUES = 50_000
_POINTS = 200
_LATEST = 4e9  # Unix seconds, in the year 2096


class Names(BaseModel):
    """The figures whose past is kept."""

    names: list[str]


@router.get("/names", response_model=Names, summary="The names of figures", name="names")
async def list_names(
    _: ReadsLive,
    desk: AtDesk,
    contains: Annotated[str, Query(max_length=200, description="only those with this in it")] = "",
) -> Response:
    """Such as `total/requests`, `listeners/web/connections`, `routes/shop/p99_ms`."""
    return answer({"names": [name for name in desk.live.names() if contains in name]})


@router.get("", response_model=Slice, summary="Figures over time", name="range")
async def get_range(
    _: ReadsLive,
    desk: AtDesk,
    name: Annotated[list[str], Query(min_length=1, max_length=100, description="may be given several times")],
    start: Annotated[
        float | None, Query(ge=0, le=_LATEST, allow_inf_nan=False, description="Unix seconds; an hour ago")
    ] = None,
    end: Annotated[
        float | None, Query(ge=0, le=_LATEST, allow_inf_nan=False, description="Unix seconds; now")
    ] = None,
    step: Annotated[
        float | None,
        Query(ge=1, le=86400, allow_inf_nan=False, description="seconds that one value stands for"),
    ] = None,
) -> Response:
    """The last hour is kept in steps of 2 s, the last day in steps of a minute. `null`: nothing was measured."""
    until = desk.clock.now().timestamp() if end is None else end
    since = max(until - _HOUR, 0.0) if start is None else start
    if since >= until:
        raise InvalidValue([Problem("start", "is not before end")])
    width = step or max((until - since) / _POINTS, 1.0)
    if (until - since) / width * len(name) > _MOST_VALUES:
        raise InvalidValue([Problem("step", f"makes more than {_MOST_VALUES} values; take a longer one")])
    return answer(desk.live.series(name, since, until, width))
