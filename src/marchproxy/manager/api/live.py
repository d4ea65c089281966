"""What is running: instances, modules, NLBs, and the whole view of it; and what is done to them."""

from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field, StrictInt
from starlette.responses import Response

from marchproxy.kit.settings import Section
from marchproxy.manager.api.acting import act
from marchproxy.manager.api.answering import answer, conditional, is_known, to_json
from marchproxy.manager.api.asking import AtDesk, Operates, ReadsLive, Wanted, author
from marchproxy.manager.api.describing import Paged
from marchproxy.manager.api.listing import select
from marchproxy.manager.api.problems import not_found
from marchproxy.manager.operating import Done
from marchproxy.manager.watching import LiveView, PartView, ScalingView
from marchproxy.model.module import HealthStatus, ModuleType
from marchproxy.model.query import Fields

router = APIRouter(prefix="/api/v1")
_PARTS: Fields[PartView] = {
    "id": lambda part: part.id,
    "kind": lambda part: part.kind,
    "version": lambda part: part.version,
    "address": lambda part: part.address,
    "health": lambda part: part.health.value if part.health else None,
    "is_current": lambda part: part.is_current,
    "draining": lambda part: part.draining,
    "connections": lambda part: part.connections,
    "requests": lambda part: part.stats.requests,
    "cpu": lambda part: part.cpu,
    "memory": lambda part: part.memory,
    "zone": lambda part: part.zone,
}
_DECISIONS: Fields[ScalingView] = {
    "module_type": lambda one: one.module_type,
    "way": lambda one: one.way,
    "manual": lambda one: one.manual,
}


class ModuleView(BaseModel):
    """All instances of one kind."""

    kind: ModuleType
    instances: int
    healthy: int
    current: int
    draining: int
    connections: int
    requests: float
    errors: float
    versions: dict[str, int]


class ScaleTo(Section):
    """How many instances there shall be, within the bounds of `scaling`."""

    count: Annotated[StrictInt, Field(ge=0, le=1000)]


@router.get("/live", tags=["live"], response_model=LiveView, summary="Everything that was last seen")
async def get_live(_: ReadsLive, request: Request, desk: AtDesk) -> Response:
    """Looked at every few seconds; `age` says how long ago. Its tag changes with each look."""
    view = desk.live.view
    tag = f'"v{view.version}"'
    return conditional(request, b"" if is_known(request, tag) else to_json(view), tag)


@router.get("/modules", tags=["modules"], response_model=Paged[ModuleView], summary="List modules")
async def list_modules(_: ReadsLive, desk: AtDesk) -> Response:
    """One row for each kind that has instances."""
    kinds: dict[ModuleType, list[PartView]] = defaultdict(list)
    for part in desk.live.view.parts:
        kinds[part.kind].append(part)
    rows = [_module(kind, parts).model_dump(mode="json") for kind, parts in kinds.items()]
    return answer({"items": rows, "total": len(rows), "next": ""})


@router.post("/modules/{kind}/scale", tags=["modules"], response_model=Done, summary="Ask for instances")
async def scale(who: Operates, request: Request, desk: AtDesk, kind: ModuleType, body: ScaleTo) -> Response:
    """By the module's launcher. The autoscaler goes on from there."""
    return await act(
        request,
        who,
        "modules.scale",
        f"modules/{kind.value}",
        lambda: desk.operations.scale(kind.value, body.count, by=author(who)),
    )


@router.get("/instances", tags=["instances"], response_model=Paged[PartView], summary="List instances")
async def list_instances(_: ReadsLive, desk: AtDesk, wanted: Wanted) -> Response:
    """As they were last seen."""
    return answer(select(desk.live.view.parts, wanted, _PARTS, lambda part: part.id))


@router.get("/instances/{instance}", tags=["instances"], response_model=PartView, summary="An instance")
async def get_instance(
    _: ReadsLive, desk: AtDesk, instance: Annotated[str, Path(max_length=253)]
) -> Response:
    """As it was last seen."""
    part = desk.live.view.part(instance)
    if part is None:
        raise not_found(f'there is no instance "{instance}"')
    return answer(part)


@router.post(
    "/instances/{instance}/drain", tags=["instances"], response_model=Done, summary="Send it nothing new"
)
async def drain(
    who: Operates,
    request: Request,
    desk: AtDesk,
    instance: Annotated[str, Path(max_length=253)],
    wait: Annotated[
        float, Query(ge=0, le=50, description="seconds to wait for what it has, at most", allow_inf_nan=False)
    ] = 0.0,
) -> Response:
    """Until it is undrained, also when it is started again."""
    return await act(
        request,
        who,
        "instances.drain",
        f"instances/{instance}",
        lambda: desk.operations.drain(instance, by=author(who), timeout=wait),
    )


@router.post(
    "/instances/{instance}/undrain", tags=["instances"], response_model=Done, summary="Send it traffic again"
)
async def undrain(
    who: Operates, request: Request, desk: AtDesk, instance: Annotated[str, Path(max_length=253)]
) -> Response:
    """The opposite of drain."""
    return await act(
        request,
        who,
        "instances.undrain",
        f"instances/{instance}",
        lambda: desk.operations.undrain(instance, by=author(who)),
    )


@router.post("/rebalance", tags=["instances"], response_model=Done, summary="Spread load evenly")
async def rebalance(
    who: Operates,
    request: Request,
    desk: AtDesk,
    force: Annotated[bool, Query(description="close what others have too many of")] = False,  # noqa: FBT002 - FastAPI's way
) -> Response:
    """New connections favour the less loaded instances for a while."""
    return await act(
        request,
        who,
        "instances.rebalance",
        "instances",
        lambda: desk.operations.rebalance(by=author(who), force=force),
    )


@router.get(
    "/scaling-decisions",
    tags=["scaling"],
    response_model=Paged[ScalingView],
    summary="What autoscalers decided, and why",
)
async def list_decisions(_: ReadsLive, desk: AtDesk, wanted: Wanted) -> Response:
    """The newest first."""
    rows = desk.live.view.scaling
    return answer(select(rows, wanted, _DECISIONS, lambda one: f"{one.at.isoformat()}/{one.module_type}"))


def _module(kind: ModuleType, parts: list[PartView]) -> ModuleView:
    versions: dict[str, int] = defaultdict(int)
    for part in parts:
        versions[part.version] += 1
    return ModuleView(
        kind=kind,
        instances=len(parts),
        healthy=sum(part.health is HealthStatus.HEALTHY for part in parts),
        current=sum(part.is_current for part in parts),
        draining=sum(part.draining for part in parts),
        connections=sum(part.connections for part in parts),
        requests=sum(part.stats.requests for part in parts),
        errors=sum(part.stats.errors for part in parts),
        versions=versions,
    )
