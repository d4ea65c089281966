"""The sections of the desired state as resources: one router for each, all alike."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Request
from starlette.responses import Response

from marchproxy.manager.api.answering import REVISION, conditional, is_known
from marchproxy.manager.api.asking import Intended, ReadsState, Wanted, WritesState, author, read_item
from marchproxy.manager.api.describing import Listed, described_body
from marchproxy.manager.api.etags import revision_tag
from marchproxy.manager.api.kinds import Kind
from marchproxy.manager.api.listing import Listing, Slice, cut, select
from marchproxy.manager.api.room import Room, room_of, tag_now
from marchproxy.manager.api.shelves import Shown
from marchproxy.manager.api.writing import Act, propose, told
from marchproxy.manager.revising import Outcome

_Key: TypeAlias = Annotated[str, Path(max_length=512)]
_IfMatch: TypeAlias = Annotated[
    str, Header(alias="If-Match", max_length=512, description="only while the item has this ETag")
]
_IfNoneMatch: TypeAlias = Annotated[
    str, Header(alias="If-None-Match", max_length=512, description="`*`: only while there is none")
]


def section_router(kind: Kind) -> APIRouter:
    """Lists and items of one section: read, made, replaced and removed."""
    items, body = _Items(kind), described_body(kind.document, kind.example)
    page: Any = Listed[kind.document]  # type: ignore[name-defined]
    router = APIRouter(prefix=f"/api/v1/{kind.path}", tags=[kind.path])
    one = "/{key:path}"
    router.add_api_route(
        "", items.listed, methods=["GET"], name="list", summary=f"List {kind.path}", response_model=page
    )
    router.add_api_route(
        one, items.get, methods=["GET"], name="get", summary=f"Get {kind.one}", response_model=kind.document
    )
    for path, method, does, summary in (
        ("", "POST", items.create, f"Make {kind.one}"),
        (one, "PUT", items.put, f"Make or replace {kind.one}"),
        (one, "DELETE", items.delete, f"Remove {kind.one}"),
    ):
        router.add_api_route(
            path,
            does,
            methods=[method],
            name=does.__name__,
            summary=summary,
            response_model=Outcome,
            status_code=HTTPStatus.CREATED if method == "POST" else HTTPStatus.OK,
            openapi_extra=None if method == "DELETE" else body,
        )
    return router


class _Items:
    """What is done with the items of one section."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._fields = kind.fields()

    async def listed(self, _: ReadsState, request: Request, wanted: Wanted) -> Response:
        at = room_of(request, self._kind)
        tag, headers = revision_tag(at.revision), {REVISION: str(at.revision)}
        if is_known(request, tag):
            return conditional(request, b"", tag, headers=headers)
        body = at.shelf.page((wanted, at.revision), lambda: self._page(at, wanted))
        return conditional(request, body, tag, headers=headers)

    async def get(self, _: ReadsState, request: Request, key: _Key) -> Response:
        at = room_of(request, self._kind)
        shown = at.found(key)
        return conditional(request, shown.body, shown.etag, headers={REVISION: str(at.revision)})

    async def create(self, who: WritesState, request: Request, intended: Intended) -> Response:
        at = room_of(request, self._kind)
        key, item = await at.brought(request)

        async def make() -> Outcome:
            return await at.revisions.put(
                self._kind.section,
                key,
                item,
                by=author(who),
                reason=intended.reason,
                create_only=True,
                dry_run=intended.dry_run,
            )

        outcome = await propose(request, self._act(who, "create", key, intended), make)
        headers = self._tag(request, key, intended)
        location = {"Location": f"/api/v1/{self._kind.path}/{quote(key, safe='')}"}
        return told(outcome, status=HTTPStatus.CREATED, headers={**headers, **location})

    async def put(
        self,
        who: WritesState,
        request: Request,
        key: _Key,
        intended: Intended,
        if_match: _IfMatch = "",
        if_none_match: _IfNoneMatch = "",
    ) -> Response:
        at = room_of(request, self._kind)
        item = await read_item(request)
        base = at.base(key, if_match=if_match, if_none_match=if_none_match)

        async def make() -> Outcome:
            return await at.revisions.put(
                self._kind.section,
                key,
                item,
                by=author(who),
                reason=intended.reason,
                base_item=base,
                create_only=bool(if_none_match),
                dry_run=intended.dry_run,
            )

        outcome = await propose(request, self._act(who, "update", key, intended), make)
        return told(outcome, headers=self._tag(request, key, intended))

    async def delete(
        self, who: WritesState, request: Request, key: _Key, intended: Intended, if_match: _IfMatch = ""
    ) -> Response:
        at = room_of(request, self._kind)
        at.found(key)
        base = at.base(key, if_match=if_match)

        async def make() -> Outcome:
            return await at.revisions.delete(
                self._kind.section,
                key,
                by=author(who),
                reason=intended.reason,
                base_item=base,
                dry_run=intended.dry_run,
            )

        return told(await propose(request, self._act(who, "delete", key, intended), make))

    def _page(self, at: Room, wanted: Listing) -> bytes:
        shown = at.shelf.all()
        page = cut(shown, wanted, _key) if wanted.is_plain else select(shown, wanted, self._fields, _key)
        return _written(page, at.revision)

    def _act(self, who: WritesState, verb: str, key: str, intended: Intended) -> Act:
        return Act(who, f"{self._kind.path}.{verb}", f"{self._kind.path}/{key}", intended)

    def _tag(self, request: Request, key: str, intended: Intended) -> Mapping[str, str]:
        return {} if intended.dry_run else tag_now(request, self._kind, key)


def _key(shown: Shown) -> str:
    return shown.key


def _written(page: Slice[Shown], revision: int) -> bytes:
    items = b",".join(row.body for row in page.items)
    cursor = page.next.encode()  # base64: nothing in it needs escaping
    return b'{"items":[%b],"total":%d,"next":"%b","revision":%d}' % (items, page.total, cursor, revision)
