"""Rollouts: versions that get more step by step, and the weights of those that do not."""

from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field, StrictInt
from starlette.responses import Response

from marchproxy.kit.settings import Seconds, Section
from marchproxy.manager.api.acting import act
from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, Operates, ReadsLive, Wanted, author
from marchproxy.manager.api.describing import Paged
from marchproxy.manager.api.listing import select
from marchproxy.manager.operating import Done, Pace, Target
from marchproxy.manager.watching import RolloutView
from marchproxy.model.judging import RolloutLimits
from marchproxy.model.query import Fields

router = APIRouter(prefix="/api/v1/rollouts", tags=["rollouts"])
_LIMITS = RolloutLimits()
_Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=253)]
_Percent: TypeAlias = Annotated[StrictInt, Field(ge=0, le=100)]
_Share: TypeAlias = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_FIELDS: Fields[RolloutView] = {
    "on": lambda one: one.on,
    "target": lambda one: one.target,
    "version": lambda one: one.version,
    "phase": lambda one: one.phase,
    "percent": lambda one: one.percent,
    "started_by": lambda one: one.started_by,
}


class WhereVersions(Section):
    """Whose versions are meant: of the backend pools of a route, or of the modules behind a listener."""

    on: Literal["route", "listener"] = "route"
    target: _Name

    @property
    def found(self) -> Target:
        """As operations have it."""
        return Target(self.on, self.target)


class LimitsDocument(Section):
    """What a canary must keep to; a limit of 0 is not checked."""

    interval: Seconds = _LIMITS.interval
    min_requests: Annotated[StrictInt, Field(ge=0, le=10**9)] = _LIMITS.min_requests
    max_error_percent: _Share = _LIMITS.max_error_percent
    max_error_increase_percent: _Share = _LIMITS.max_error_increase_percent
    max_p99_latency_ms: Annotated[float, Field(ge=0, le=1e9)] = _LIMITS.max_p99_latency_ms
    max_p99_factor: Annotated[float, Field(ge=0, le=1e6)] = _LIMITS.max_p99_factor


class StartRollout(WhereVersions):
    """`step` points at a time, or by `steps` (percent, ascending)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "on": "route",
                    "target": "shop",
                    "version": "v2",
                    "steps": [5, 25, 50, 100],
                    "limits": {"interval": "60s", "max_error_percent": 2},
                }
            ]
        }
    )
    version: _Name
    step: Annotated[StrictInt, Field(ge=0, le=100)] = 0
    steps: Annotated[tuple[_Percent, ...], Field(max_length=100)] = ()
    limits: LimitsDocument = LimitsDocument()

    @property
    def pace(self) -> Pace:
        """As operations have it; without steps, by the usual ones."""
        step = self.step or (0 if self.steps else _LIMITS.step_percent)
        limits = RolloutLimits(step_percent=step or 1, steps=self.steps, **self.limits.model_dump())
        return Pace(step, self.steps, limits)


class Promote(WhereVersions):
    """Everything to a version, now."""

    version: _Name


class Rollback(WhereVersions):
    """Back to what is desired; with `version`, to that one, for good."""

    version: Annotated[str, Field(max_length=253)] = ""


class SetWeight(WhereVersions):
    """A version's share of what is new, in percent; the others divide the rest as before."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"target": "shop", "version": "v2", "percent": 10}]}
    )
    version: _Name
    percent: _Percent


@router.get("", response_model=Paged[RolloutView], summary="List rollouts, the newest first", name="list")
async def list_rollouts(_: ReadsLive, desk: AtDesk, wanted: Wanted) -> Response:
    """Those under way, and the last one of each target."""
    page = select(
        desk.live.view.rollouts, wanted, _FIELDS, lambda one: f"{one.on}/{one.target}/{one.version}"
    )
    return answer(page)


@router.post("", response_model=Done, summary="Start a rollout", name="start")
async def start(who: Operates, request: Request, desk: AtDesk, body: StartRollout) -> Response:
    """In watched steps: each must keep to the limits, or it is rolled back. At its end there is a revision."""
    return await act(
        request,
        who,
        "rollouts.start",
        f"{body.on}s/{body.target}",
        lambda: desk.operations.promote(body.found, body.version, body.pace, by=author(who)),
    )


@router.post("/promote", response_model=Done, summary="Give a version everything", name="promote")
async def promote(who: Operates, request: Request, desk: AtDesk, body: Promote) -> Response:
    """At once, as a revision; a rollout under way there is over."""
    return await act(
        request,
        who,
        "rollouts.promote",
        f"{body.on}s/{body.target}",
        lambda: desk.operations.promote(body.found, body.version, Pace(), by=author(who)),
    )


@router.post("/rollback", response_model=Done, summary="Roll back", name="rollback")
async def rollback(who: Operates, request: Request, desk: AtDesk, body: Rollback) -> Response:
    """End a rollout."""
    return await act(
        request,
        who,
        "rollouts.rollback",
        f"{body.on}s/{body.target}",
        lambda: desk.operations.rollback(body.found, by=author(who), version=body.version),
    )


@router.put("/weights", response_model=Done, summary="Set a version's weight", name="weights")
async def set_weight(who: Operates, request: Request, desk: AtDesk, body: SetWeight) -> Response:
    """For good, as a revision. Refused while a rollout is under way there."""
    return await act(
        request,
        who,
        "rollouts.weights",
        f"{body.on}s/{body.target}",
        lambda: desk.operations.set_weight(body.found, body.version, body.percent, by=author(who)),
    )
