"""The file was read again: whoever runs the manager on this machine hands it what the file says now.

Not a part of the API for others: only the local key opens it. The manager remembers what the file last said, so that a
restart does not take an old file for news; that is why this is no ordinary apply.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from marchproxy.contract.document import decode
from marchproxy.manager.access import Denied
from marchproxy.manager.access.http import caller, desk_of, where
from marchproxy.manager.places import FILE_PATH
from marchproxy.model.identity import Principal, Role

router = APIRouter(include_in_schema=False)


@router.post(FILE_PATH)
async def take_file(
    request: Request,
    principal: Annotated[Principal, Depends(caller(Role.ADMIN, "state:write"))],
    source: str = "",
) -> dict[str, Any]:
    """Put the document in the body in force. `applied` is False where the file says nothing new."""
    if principal.kind != "local":
        raise Denied("this is for the machine that the manager runs on")
    desk = desk_of(request)
    state = decode(await request.body())
    async with desk.access.audited(principal, "state.file", source, address=where(request)) as noted:
        outcome = await desk.revisions.take_file(state, source)
        applied = outcome is not None and outcome.applied
        head = outcome.revision if outcome is not None else desk.revisions.current.head
        noted.detail = f"revision {head.number}" if applied else "nothing new"
    return {"revision": int(head.number), "applied": applied}
