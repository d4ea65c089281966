"""The desired state as a whole: exported, checked, compared and put in force."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from marchproxy.contract.document import Canon, StateDocument
from marchproxy.contract.document.codec import decode_plain
from marchproxy.manager.api.answering import REVISION, YAML, answer, conditional
from marchproxy.manager.api.asking import (
    AtDesk,
    Intended,
    ReadsState,
    WritesState,
    author,
    read_text,
    wants_yaml,
)
from marchproxy.manager.api.describing import described_body
from marchproxy.manager.api.etags import names, revision_tag
from marchproxy.manager.api.exporting import to_yaml
from marchproxy.manager.api.kinds import BY_SECTION
from marchproxy.manager.api.problems import ProblemView, precondition_failed
from marchproxy.manager.api.room import shelves_of
from marchproxy.manager.api.shown import shown_change
from marchproxy.manager.api.writing import Act, propose, told
from marchproxy.manager.desk import Desk
from marchproxy.manager.revising import Outcome
from marchproxy.model.changes import Change, Document, diff, unredact
from marchproxy.model.revision import RevisionNumber

router = APIRouter(prefix="/api/v1", tags=["state"])
_BODY = described_body(
    StateDocument, {section: [BY_SECTION[section].example] for section in ("listeners", "routes", "pools")}
)


class Verdict(BaseModel):
    """Whether a document is sound, and everything that is wrong with it."""

    valid: bool
    problems: list[ProblemView]


class Difference(BaseModel):
    """What differs, item by item."""

    changes: list[Change]


@router.get("/state", response_model=StateDocument, summary="The desired state in force, in JSON or YAML")
async def get_state(_: ReadsState, request: Request, desk: AtDesk) -> Response:
    """As YAML (`Accept: application/yaml`) it begins with a comment that names its revision. Secrets are `***`."""
    current, shelves = desk.revisions.current, shelves_of(request)
    tag = revision_tag(current.head.number)
    headers = {REVISION: str(current.head.number), "Vary": "Accept"}
    if wants_yaml(request):
        text = await to_yaml(shelves.document(current), current.head)
        return conditional(request, text, tag.replace('"', '"y', 1), headers=headers, media=YAML)
    return conditional(request, shelves.whole(current), tag, headers=headers)


@router.put("/state", response_model=Outcome, openapi_extra=_BODY, summary="As /apply", name="replace")
@router.post(
    "/apply",
    response_model=Outcome,
    openapi_extra=_BODY,
    summary="Put a whole document in force",
    name="apply",
)
async def apply(
    who: WritesState,
    request: Request,
    desk: AtDesk,
    intended: Intended,
    base: Annotated[
        int | None, Query(ge=1, le=2**53, description="the revision that the document was made from")
    ] = None,
    if_match: Annotated[str, Header(alias="If-Match", max_length=512)] = "",
) -> Response:
    """With `base`, what others changed since then stays, and conflicts are refused. Without, the document replaces all."""
    head = desk.revisions.current.head
    if if_match and not names(if_match, revision_tag(head.number)):
        raise precondition_failed(f"revision {head.number} is in force now; look at it and try again")
    document = await _document(request, desk)

    async def make() -> Outcome:
        return await desk.revisions.propose(
            document,
            base=None if base is None else RevisionNumber(base),
            by=author(who),
            reason=intended.reason,
            dry_run=intended.dry_run,
        )

    return told(await propose(request, Act(who, "state.apply", "state", intended), make))


@router.post("/validate", response_model=Verdict, openapi_extra=_BODY, summary="Check a document")
async def validate(_: ReadsState, request: Request, desk: AtDesk) -> Response:
    """By the rules of documents alone; what NLBs and modules say of it, `apply` with `dry_run` tells."""
    problems = await desk.revisions.validate(await _document(request, desk))
    return answer({"valid": not problems, "problems": problems})


@router.post(
    "/diff",
    response_model=Difference,
    openapi_extra=_BODY,
    summary="Compare a document with the one in force",
)
async def difference(_: ReadsState, request: Request, desk: AtDesk) -> Response:
    """What applying the document would add, change and remove."""
    current = desk.revisions.current
    document = unredact(await _document(request, desk), current.document)
    changes = await asyncio.to_thread(_changes, current.document, document)
    return answer({"changes": changes}, headers={REVISION: str(current.head.number)})


async def _document(request: Request, desk: Desk) -> Document:
    return await asyncio.to_thread(desk.revisions.read, await read_text(request))


def _changes(current: Document, document: Document) -> list[Change]:
    """Raises InvalidValue: only a sound document has the canonical form that can be compared."""
    canonical = Canon().of(decode_plain(document)).document
    return [shown_change(change) for change in diff(current, canonical)]
