"""Records: what was done by whom, and what happened."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, Older, ReadsAudit, ReadsLive
from marchproxy.manager.api.describing import Recorded
from marchproxy.model.record import AuditEntry, Event

router = APIRouter(prefix="/api/v1")


@router.get(
    "/audit", tags=["audit"], response_model=Recorded[AuditEntry], summary="Who did what", name="list"
)
async def list_audit(
    _: ReadsAudit,
    desk: AtDesk,
    older: Older,
    who: Annotated[str | None, Query(max_length=253)] = None,
    action: Annotated[
        str | None, Query(max_length=64, description="whole (`routes.update`), or before the dot (`routes`)")
    ] = None,
) -> Response:
    """The newest first, also what was refused or not allowed."""
    found = await desk.store.audit(before=older.before, limit=older.limit + 1, who=who, action=action)
    return answer(older.page(found, lambda entry: entry.id))


@router.get("/events", tags=["events"], response_model=Recorded[Event], summary="What happened", name="list")
async def list_events(
    _: ReadsLive,
    desk: AtDesk,
    older: Older,
    kind: Annotated[
        str | None, Query(max_length=64, description="whole (`instance.unhealthy`), or before the dot")
    ] = None,
    subject: Annotated[str | None, Query(max_length=253)] = None,
) -> Response:
    """The newest first."""
    found = await desk.store.events(before=older.before, limit=older.limit + 1, kind=kind, subject=subject)
    return answer(older.page(found, lambda event: event.id))
