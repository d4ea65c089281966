"""API keys: for programs. A key is told once, when it is made."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from marchproxy.kit.settings import Section
from marchproxy.manager.access.http import where
from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, ReadsKeys, Wanted, WritesKeys
from marchproxy.manager.api.describing import Paged, Removed
from marchproxy.manager.api.listing import select
from marchproxy.model.identity import ApiKey, Role
from marchproxy.model.query import Fields

router = APIRouter(prefix="/api/v1/api-keys", tags=["api-keys"])


class KeyView(BaseModel):
    """A key, without itself."""

    id: str
    name: str
    role: Role
    scopes: list[str]
    owner: str
    created_at: datetime
    expires_at: datetime | None
    last_used: datetime | None


class NewKey(Section):
    """No scopes: all that the role may. It never may more than its owner."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "ci", "role": "operator", "scopes": ["state:read", "state:write"]}]
        }
    )
    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: Role = Role.VIEWER
    scopes: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    expires_at: datetime | None = None
    owner: Annotated[str | None, Field(max_length=63)] = None


class MadeKey(BaseModel):
    """`secret` is what `Authorization: Bearer` takes; it is not told again."""

    key: KeyView
    secret: str


_FIELDS: Fields[ApiKey] = {
    "id": lambda key: key.id,
    "name": lambda key: key.name,
    "role": lambda key: key.role,
    "owner": lambda key: key.owner,
    "created_at": lambda key: key.created_at.isoformat(),
}


@router.get("", response_model=Paged[KeyView], summary="List API keys", name="list")
async def list_keys(who: ReadsKeys, desk: AtDesk, wanted: Wanted) -> Response:
    """One's own; an admin sees all."""
    page = select(await desk.access.keys.seen_by(who), wanted, _FIELDS, lambda key: key.id)
    return answer({"items": [_view(key) for key in page.items], "total": page.total, "next": page.next})


@router.post(
    "", response_model=MadeKey, status_code=HTTPStatus.CREATED, summary="Make an API key", name="create"
)
async def make_key(who: WritesKeys, request: Request, desk: AtDesk, body: NewKey) -> Response:
    """It belongs to who makes it; an admin may make one for somebody else."""
    async with desk.access.audited(who, "keys.create", "api-keys", address=where(request)) as noted:
        key, secret = await desk.access.keys.make(
            who, body.name, body.role, scopes=body.scopes, expires_at=body.expires_at, owner=body.owner
        )
        noted.target, noted.detail = f"api-keys/{key.id}", f"{key.name}, {key.role.value}"
    headers = {"Location": f"/api/v1/api-keys/{key.id}"}
    return answer({"key": _view(key), "secret": secret}, status=HTTPStatus.CREATED, headers=headers)


@router.delete("/{key_id}", response_model=Removed, summary="End an API key", name="delete")
async def remove_key(
    who: WritesKeys, request: Request, desk: AtDesk, key_id: Annotated[str, Path(max_length=64)]
) -> Response:
    """At once."""
    async with desk.access.audited(who, "keys.delete", f"api-keys/{key_id}", address=where(request)):
        await desk.access.keys.remove(who, key_id)
    return answer({"removed": key_id, "at": desk.clock.now()})


def _view(key: ApiKey) -> dict[str, object]:
    return {name: getattr(key, name) for name in KeyView.model_fields}
