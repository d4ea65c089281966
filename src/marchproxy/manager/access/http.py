"""How a request says who it is from: cookies and headers. The dependencies of every route that is not for everybody."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.responses import Response

from marchproxy.manager.access.errors import AccessError, Denied, Unauthenticated
from marchproxy.manager.access.roles import Scope
from marchproxy.manager.access.sessions import SignedIn
from marchproxy.manager.access.tokens import is_same
from marchproxy.manager.desk import Desk
from marchproxy.model.identity import Principal, Role

CSRF_HEADER = "x-csrf-token"
_SESSION, _CSRF = "mp_session", "mp_csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def desk_of(request: Request) -> Desk:
    """The desk that a request is answered with."""
    desk: Desk = request.app.state.desk
    return desk


def where(request: Request) -> str:
    """The address a request comes from: the peer's, or what a trusted proxy says."""
    return request.client.host if request.client is not None else ""


def cookie_names(*, secure: bool) -> tuple[str, str]:
    """The names of the cookies with the session and with what JavaScript sends back as X-CSRF-Token."""
    prefix = "__Host-" if secure else ""
    return prefix + _SESSION, prefix + _CSRF


def give_cookies(response: Response, signed_in: SignedIn, desk: Desk) -> None:
    """Put the cookies of a session on a response."""
    session = signed_in.principal.session
    assert session is not None
    secure = desk.settings.secure
    name, csrf_name = cookie_names(secure=secure)
    seconds = int((session.expires_at - session.created_at).total_seconds())
    for key, value, hidden in ((name, signed_in.token, True), (csrf_name, session.csrf, False)):
        response.set_cookie(
            key, value, max_age=seconds, path="/", secure=secure, httponly=hidden, samesite="lax"
        )


def take_cookies(response: Response, desk: Desk) -> None:
    """Have the browser forget the cookies of a session."""
    secure = desk.settings.secure
    for key in cookie_names(secure=secure):
        response.delete_cookie(key, path="/", secure=secure, samesite="lax")


async def principal_of(request: Request) -> Principal | None:
    """Who asks; None for a stranger. Raises StoreUnavailable. For pages, which send strangers to sign in."""
    try:
        return await _authenticated(request)
    except Unauthenticated:
        return None


def caller(role: Role, scope: Scope) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency: who asks, where he may. Raises Unauthenticated, Denied and StoreUnavailable.

    Attempts to change something that are not allowed are on record.
    """

    async def dependency(request: Request) -> Principal:
        principal = await _authenticated(request)
        try:
            check_csrf(request, principal)
            desk_of(request).access.require(principal, role, scope)
        except AccessError as error:
            if request.method not in _SAFE:
                await _record(request, principal, scope, str(error))
            raise
        request.state.principal = principal
        return principal

    return dependency


def check_csrf(request: Request, principal: Principal) -> None:
    """Raise Denied for a change that a page of somebody else's may have asked for."""
    session = principal.session
    if session is None or request.method in _SAFE:
        return
    if not is_same(request.headers.get(CSRF_HEADER, ""), session.csrf):
        raise Denied("the header X-CSRF-Token is missing or not this session's; GET /api/v1/session tells it")


async def _authenticated(request: Request) -> Principal:
    desk = desk_of(request)
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not value.strip():
            raise Unauthenticated("`Authorization` must be `Bearer` and an API key")
        return await desk.access.who(bearer=value.strip())
    name, _ = cookie_names(secure=desk.settings.secure)
    return await desk.access.who(cookie=request.cookies.get(name))


async def _record(request: Request, principal: Principal, scope: Scope, reason: str) -> None:
    area = scope.partition(":")[0]
    target = request.url.path.removeprefix("/api/v1/")
    action = f"{area}.{request.method.lower()}"
    await desk_of(request).access.audit(
        principal, action, target, outcome="denied", detail=reason, address=where(request)
    )
