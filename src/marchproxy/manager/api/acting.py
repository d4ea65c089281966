"""Acting: an operation on the running system is carried out, and written down with what came of it."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.responses import Response

from marchproxy.manager.access.http import desk_of, where
from marchproxy.manager.api.answering import REVISION, answer
from marchproxy.manager.operating import Done
from marchproxy.model.identity import Principal


async def act(
    request: Request, by: Principal, action: str, target: str, does: Callable[[], Awaitable[Done]]
) -> Response:
    """Do it; the answer has the revision that came of it, where one did."""
    access = desk_of(request).access
    async with access.audited(by, action, target, address=where(request)) as noted:
        done = await does()
        noted.detail = done.message
    headers = {} if done.revision is None else {REVISION: str(done.revision.number)}
    return answer(done, headers=headers)
