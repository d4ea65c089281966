"""Writing: a proposal is put forward, written down with what came of it, and answered with its revision."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from starlette.responses import Response

from marchproxy.manager.access.http import desk_of, where
from marchproxy.manager.api.answering import REVISION, answer
from marchproxy.manager.api.asking import Intent
from marchproxy.manager.api.shown import shown_outcome
from marchproxy.manager.revising import Outcome
from marchproxy.model.identity import Principal


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody is about to do: `routes.update` on `routes/shop`."""

    by: Principal
    action: str
    target: str
    intent: Intent


async def propose(request: Request, act: Act, make: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Carry a proposal out, and write it into the audit log; a dry run changes nothing, and is not written down."""
    if act.intent.dry_run:
        return await make()
    access = desk_of(request).access
    async with access.audited(act.by, act.action, act.target, address=where(request)) as noted:
        outcome = await make()
        noted.detail = f"revision {outcome.revision.number}" if outcome.applied else "nothing new"
    return outcome


def told(
    outcome: Outcome, *, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """The outcome without secrets, and its revision as a header, too."""
    headers = {**(headers or {}), REVISION: str(outcome.revision.number)}
    return answer(shown_outcome(outcome), status=status, headers=headers)
