"""Users: the people who may sign in, as admins see and change them. A password is told once, to who makes it."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.responses import Response

from marchproxy.kit.settings import Section
from marchproxy.manager.access.http import where
from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, ReadsUsers, Wanted, WritesUsers
from marchproxy.manager.api.describing import Paged, Removed
from marchproxy.manager.api.listing import select
from marchproxy.model.identity import Role, User
from marchproxy.model.query import Fields

router = APIRouter(prefix="/api/v1/users", tags=["users"])
Password: TypeAlias = Annotated[str, Field(min_length=1, max_length=1024)]
_Name: TypeAlias = Annotated[str, Path(max_length=63)]


class UserView(BaseModel):
    """A person, without the password."""

    name: str
    role: Role
    created_at: datetime
    disabled: bool
    must_change: bool
    last_login: datetime | None


class NewUser(Section):
    """Without a password, one is made, and told in the answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "vera", "role": "viewer"}]})
    name: Annotated[str, Field(max_length=63)]
    role: Role = Role.VIEWER
    password: Password | None = None


class ChangedUser(Section):
    """What is not given stays."""

    role: Role | None = None
    disabled: StrictBool | None = None


class NewPassword(Section):
    """Without one, one is made."""

    password: Password | None = None


class WithPassword(BaseModel):
    """A user with the password to sign in with once, which is not told again; empty where you gave it."""

    user: UserView
    password: str


_FIELDS: Fields[User] = {
    "name": lambda user: user.name,
    "role": lambda user: user.role,
    "disabled": lambda user: user.disabled,
    "last_login": lambda user: user.last_login.isoformat() if user.last_login else None,
}


@router.get("", response_model=Paged[UserView], summary="List users", name="list")
async def list_users(_: ReadsUsers, desk: AtDesk, wanted: Wanted) -> Response:
    """By name."""
    page = select(await desk.access.users.all(), wanted, _FIELDS, lambda user: user.name)
    rows = [view(user) for user in page.items]
    return answer({"items": rows, "total": page.total, "next": page.next})


@router.get("/{name}", response_model=UserView, summary="A user", name="get")
async def get_user(_: ReadsUsers, desk: AtDesk, name: _Name) -> Response:
    """One."""
    return answer(view(await desk.access.users.get(name)))


@router.post(
    "", response_model=WithPassword, status_code=HTTPStatus.CREATED, summary="Add a user", name="create"
)
async def add_user(who: WritesUsers, request: Request, desk: AtDesk, body: NewUser) -> Response:
    """Who signs in with this password must choose another one."""
    async with desk.access.audited(
        who, "users.create", f"users/{body.name}", address=where(request)
    ) as noted:
        user, password = await desk.access.users.add(body.name, body.role, body.password)
        noted.detail = user.role.value
    headers = {"Location": f"/api/v1/users/{user.name}"}
    told = {"user": view(user), "password": "" if body.password else password}
    return answer(told, status=HTTPStatus.CREATED, headers=headers)


@router.patch("/{name}", response_model=UserView, summary="Change a user", name="update")
async def change_user(
    who: WritesUsers, request: Request, desk: AtDesk, name: _Name, body: ChangedUser
) -> Response:
    """Who is disabled is signed out. The last admin stays one."""
    detail = ", ".join(
        f"{key} {value}" for key, value in body.model_dump(mode="json", exclude_none=True).items()
    )
    async with desk.access.audited(
        who, "users.update", f"users/{name}", detail=detail, address=where(request)
    ):
        user = await desk.access.users.change(name, role=body.role, disabled=body.disabled)
    return answer(view(user))


@router.post("/{name}/password", response_model=WithPassword, summary="Reset a password", name="password")
async def reset_password(
    who: WritesUsers, request: Request, desk: AtDesk, name: _Name, body: NewPassword
) -> Response:
    """All sessions of the user end."""
    async with desk.access.audited(who, "users.password", f"users/{name}", address=where(request)):
        password = await desk.access.users.reset_password(name, body.password)
    user = view(await desk.access.users.get(name))
    return answer({"user": user, "password": "" if body.password else password})


@router.delete("/{name}", response_model=Removed, summary="Remove a user", name="delete")
async def remove_user(who: WritesUsers, request: Request, desk: AtDesk, name: _Name) -> Response:
    """With sessions and keys."""
    async with desk.access.audited(who, "users.delete", f"users/{name}", address=where(request)):
        await desk.access.users.remove(name)
    return answer({"removed": name, "at": desk.clock.now()})


def view(user: User) -> dict[str, object]:
    """What is told of a user."""
    shown = UserView(
        name=user.name,
        role=user.role,
        created_at=user.created_at,
        disabled=user.disabled,
        must_change=user.must_change,
        last_login=user.last_login,
    )
    return shown.model_dump()
