"""Session: people sign in and out, and choose their password."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from marchproxy.kit.settings import Section
from marchproxy.manager.access import Unauthenticated
from marchproxy.manager.access.http import give_cookies, principal_of, take_cookies, where
from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, OwnSession
from marchproxy.manager.api.users import Password
from marchproxy.model.identity import Principal, Role

router = APIRouter(prefix="/api/v1/session", tags=["session"])


class SignIn(Section):
    """Who signs in."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    password: Password


class ChangePassword(Section):
    """The present password, and the one that is to be."""

    old: Password
    new: Password


class SessionView(BaseModel):
    """Who asks. `csrf` goes with every change as X-CSRF-Token; programs with a key have none, and need none."""

    name: str
    kind: str
    role: Role
    scopes: list[str]
    must_change: bool
    csrf: str
    expires_at: datetime | None


class Ended(BaseModel):
    """Whose session ended."""

    signed_out: str


@router.post("", response_model=SessionView, status_code=HTTPStatus.CREATED, summary="Sign in", name="create")
async def sign_in(request: Request, desk: AtDesk, body: SignIn) -> Response:
    """The answer sets the cookies of the session."""
    signed_in = await desk.access.sign_in(body.name, body.password, where(request))
    response = answer(_view(signed_in.principal), status=HTTPStatus.CREATED)
    give_cookies(response, signed_in, desk)
    return response


async def _who(request: Request) -> Principal:
    principal = await principal_of(request)
    if principal is None:
        raise Unauthenticated("nobody is signed in here, and no good API key was shown")
    return principal


@router.get("", response_model=SessionView, summary="Who am I?", name="get")
async def get_session(who: Annotated[Principal, Depends(_who)]) -> Response:
    """For sessions and API keys alike."""
    return answer(_view(who))


@router.delete("", response_model=Ended, summary="Sign out", name="delete")
async def sign_out(who: OwnSession, desk: AtDesk) -> Response:
    """The session ends, here and at the store."""
    await desk.access.sign_out(who)
    response = answer({"signed_out": who.name})
    take_cookies(response, desk)
    return response


@router.post("/password", response_model=SessionView, summary="Change one's password", name="password")
async def change_password(who: OwnSession, desk: AtDesk, body: ChangePassword) -> Response:
    """All other sessions end, and this one is replaced."""
    signed_in = await desk.access.change_password(who, body.old, body.new)
    response = answer(_view(signed_in.principal))
    give_cookies(response, signed_in, desk)
    return response


def _view(who: Principal) -> dict[str, object]:
    session = who.session
    return {
        "name": who.name,
        "kind": who.kind,
        "role": who.role,
        "scopes": who.scopes,
        "must_change": who.must_change,
        "csrf": "" if session is None else session.csrf,
        "expires_at": None if session is None else session.expires_at,
    }
