"""Revisions: what was in force, what changed, and back to it."""

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from marchproxy.contract.document import StateDocument
from marchproxy.manager.api.answering import YAML, answer, conditional, to_json
from marchproxy.manager.api.asking import (
    AtDesk,
    Intended,
    Number,
    Older,
    ReadsState,
    WritesState,
    author,
    wants_yaml,
)
from marchproxy.manager.api.describing import Recorded
from marchproxy.manager.api.exporting import to_yaml
from marchproxy.manager.api.problems import not_found
from marchproxy.manager.api.shown import shown_change
from marchproxy.manager.api.state import Difference
from marchproxy.manager.api.writing import Act, propose, told
from marchproxy.manager.desk import Desk
from marchproxy.manager.revising import Applying, Outcome
from marchproxy.model.changes import Document, redact
from marchproxy.model.revision import Revision, RevisionHead, RevisionNumber

router = APIRouter(prefix="/api/v1/revisions", tags=["revisions"])


class RevisionView(BaseModel):
    """A revision with its document, secrets hidden."""

    head: RevisionHead
    document: StateDocument


class Progress(BaseModel):
    """The newest apply of this manager; null: there was none since it started."""

    applying: Applying | None


@router.get(
    "", response_model=Recorded[RevisionHead], summary="List revisions, the newest first", name="list"
)
async def list_revisions(_: ReadsState, desk: AtDesk, older: Older) -> Response:
    """Of each its number, author, reason and how much it changed."""
    found = await desk.store.revisions(before=older.before, limit=older.limit + 1)
    return answer(older.page(found, lambda head: head.number))


@router.get(
    "/progress", response_model=Progress, summary="How far the newest apply has come", name="progress"
)
async def progress(_: ReadsState, desk: AtDesk) -> Response:
    """Part by part."""
    return answer({"applying": desk.revisions.progress})


@router.get(
    "/{number}",
    response_model=RevisionView,
    summary="A revision, in JSON or its document in YAML",
    name="get",
)
async def get_revision(_: ReadsState, request: Request, desk: AtDesk, number: Number) -> Response:
    """As YAML it is the document alone, with a comment that names the revision."""
    revision = await _found(desk, number)
    document = await asyncio.to_thread(_shown, revision)
    tag = f'"{revision.head.checksum[:24]}"'  # a revision never changes
    if wants_yaml(request):
        text = await to_yaml(document, revision.head)
        return conditional(request, text, tag.replace('"', '"y', 1), headers={"Vary": "Accept"}, media=YAML)
    body = to_json({"head": revision.head, "document": document})
    return conditional(request, body, tag, headers={"Vary": "Accept"})


@router.get("/{number}/diff", response_model=Difference, summary="What a revision changed", name="diff")
async def get_diff(
    _: ReadsState,
    desk: AtDesk,
    number: Number,
    against: Annotated[
        int | None, Query(ge=1, le=2**53, description="another revision; its parent, if not given")
    ] = None,
) -> Response:
    """Item by item, secrets hidden."""
    head = (await _found(desk, number)).head
    before = RevisionNumber(against) if against is not None else head.parent
    if before is None:
        return answer({"changes": []})
    changes = await desk.revisions.diff(before, head.number)
    return answer({"changes": [shown_change(change) for change in changes]})


@router.post(
    "/{number}/restore", response_model=Outcome, summary="Put a revision in force again", name="restore"
)
async def restore(
    who: WritesState, request: Request, desk: AtDesk, number: Number, intended: Intended
) -> Response:
    """As a new revision, which says what that one said."""

    async def make() -> Outcome:
        return await desk.revisions.restore(
            RevisionNumber(number), by=author(who), reason=intended.reason, dry_run=intended.dry_run
        )

    act = Act(who, "revisions.restore", f"revisions/{number}", intended)
    return told(await propose(request, act, make))


def _shown(revision: Revision) -> Document:
    return redact(orjson.loads(revision.document))


async def _found(desk: Desk, number: int) -> Revision:
    revision = await desk.store.revision(RevisionNumber(number))
    if revision is None:
        raise not_found(f"there is no revision {number}")
    return revision
