"""Doors: signing in, choosing another password, signing out. Plain forms, so that they work before any script does."""

from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from marchproxy.manager.access import AccessError, Throttled, Unauthenticated, WeakPassword
from marchproxy.manager.access.http import desk_of, give_cookies, take_cookies, where
from marchproxy.manager.access.tokens import is_same
from marchproxy.manager.ui.components.icons import icon
from marchproxy.manager.ui.components.markup import Child, joined, tag
from marchproxy.manager.ui.components.states import refusal
from marchproxy.manager.ui.looks import HEAD
from marchproxy.manager.ui.visit import visit_of
from marchproxy.store import StoreUnavailable

router = APIRouter(include_in_schema=False)
_SEE_OTHER = 303


@router.get("/sign-in")
async def sign_in_page(to: str = "/") -> Response:
    """The form."""
    return _sign_in(to)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    name: str = Form("", max_length=200),
    password: str = Form("", max_length=4096),
    to: str = Form("/"),
) -> Response:
    """Begin a session and go on to where one wanted."""
    desk = desk_of(request)
    if not _is_ours(request):
        return _sign_in(to, "The form came from another site; fill in this one.", status=403)
    try:
        signed_in = await desk.access.sign_in(name, password, where(request))
    except AccessError as error:
        return _sign_in(to, _sentence(str(error)), status=429 if isinstance(error, Throttled) else 401)
    except StoreUnavailable as error:
        return unavailable(error)
    response = RedirectResponse(
        "/password" if signed_in.principal.must_change else local_address(to), _SEE_OTHER
    )
    give_cookies(response, signed_in, desk)
    return response


@router.get("/password")
async def password_page(request: Request) -> Response:
    """The form for one's own password."""
    try:
        visit = await visit_of(request, desk_of(request))
    except Unauthenticated:
        return RedirectResponse("/sign-in", _SEE_OTHER)
    except StoreUnavailable as error:
        return unavailable(error)
    session = visit.principal.session
    return _password(session.csrf if session else "", must=visit.principal.must_change)


@router.post("/password")
async def change_password(
    request: Request,
    csrf: str = Form(""),
    old: str = Form("", max_length=4096),
    new: str = Form("", max_length=4096),
    again: str = Form("", max_length=4096),
) -> Response:
    """Change it; other sessions of the same user end."""
    desk = desk_of(request)
    try:
        principal = (await visit_of(request, desk)).principal
    except Unauthenticated:
        return RedirectResponse("/sign-in", _SEE_OTHER)
    except StoreUnavailable as error:
        return unavailable(error)
    mine, must = principal.session.csrf if principal.session else "", principal.must_change
    try:
        if not is_same(csrf, mine):
            raise WeakPassword("the form was not this session's; try again")
        if new != again:
            raise WeakPassword("the new passwords are not the same")
        signed_in = await desk.access.change_password(principal, old, new)
    except (AccessError, WeakPassword) as error:
        words = "the present password is not right" if isinstance(error, Unauthenticated) else str(error)
        return _password(mine, must=must, trouble=_sentence(words), status=422)
    except StoreUnavailable as error:
        return unavailable(error)
    response = RedirectResponse("/", _SEE_OTHER)
    give_cookies(response, signed_in, desk)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, csrf: str = Form("")) -> Response:
    """End the session."""
    desk = desk_of(request)
    response = RedirectResponse("/sign-in", _SEE_OTHER)
    try:
        visit = await visit_of(request, desk)
        if visit.principal.session is None or not is_same(csrf, visit.principal.session.csrf):
            return RedirectResponse("/", _SEE_OTHER)
        await desk.access.sign_out(visit.principal)
    except Unauthenticated:
        pass  # it has ended already
    except StoreUnavailable as error:
        return unavailable(error)
    take_cookies(response, desk)
    return response


def unavailable(error: StoreUnavailable) -> Response:
    """The database does not answer, so nobody can be known."""
    words = refusal(
        "The database does not answer",
        [str(error)],
        remedy="Traffic goes on as it did. Try again in a moment.",
    )
    return _page("Not available", words, status=503, headers={"Retry-After": "5"})


def not_found() -> Response:
    """No page has this address; it costs nothing to say so, also to strangers."""
    words = joined(tag("p", "No page has this address."), tag("a", "Overview", href="/", class_="button"))
    return _page("Not found", tag("div", words, class_="stack"), status=404)


def failed() -> Markup:
    """What is in place of a page that could not be made."""
    words = refusal(
        "This page could not be made",
        ["The log of the manager says why."],
        remedy="Traffic goes on as it did.",
    )
    return _inside("Something failed", words)


def crowded() -> Response:
    """More pages are open than the manager keeps."""
    words = refusal(
        "Too many pages are open",
        ["The manager keeps a bounded number of them."],
        remedy="Close some, and try again.",
    )
    return _page("Too many pages", words, status=503, headers={"Retry-After": "5"})


def _sign_in(to: str, trouble: str = "", *, status: int = 200) -> Response:
    form = tag(
        "form",
        tag("input", type="hidden", name="to", value=local_address(to)),
        _field("Name", "name", "text", "username", autofocus=True),
        _field("Password", "password", "password", "current-password"),
        tag("button", "Sign in", type="submit", class_="button primary"),
        method="post",
        action="/sign-in",
    )
    return _page("Sign in", joined(_trouble(trouble), form), status=status)


def _password(csrf: str, *, must: bool, trouble: str = "", status: int = 200) -> Response:
    why = (
        "The password that you have was given to you. Choose one that only you know."
        if must
        else "Other sessions of yours will end."
    )
    form = tag(
        "form",
        tag("input", type="hidden", name="csrf", value=csrf),
        _field("Present password", "old", "password", "current-password", autofocus=True),
        _field(
            "New password",
            "new",
            "password",
            "new-password",
            hint="10 characters or more, and not your name.",
        ),
        _field("New password again", "again", "password", "new-password"),
        tag("button", "Change password", type="submit", class_="button primary"),
        method="post",
        action="/password",
    )
    return _page(
        "Choose a password",
        joined(tag("p", why, class_="quiet", style="margin:-8px 0 16px"), _trouble(trouble), form),
        status=status,
    )


def _field(
    label: str, name: str, kind: str, complete: str, *, hint: str = "", autofocus: bool = False
) -> Markup:
    return tag(
        "div",
        tag("label", label, for_=name),
        tag("input", class_="input", id=name, name=name, type=kind, autocomplete=complete, required=True, autofocus=autofocus,
            autocapitalize="none", spellcheck="false"),
        tag("span", hint, class_="hint") if hint else None,
        class_="field",
    )  # fmt: skip


def _trouble(words: str) -> Markup | None:
    return refusal(words, []) if words else None


def _inside(title: str, *content: Child) -> Markup:
    brand = tag("div", icon("mark"), "MarchProxy", class_="brand")
    return tag(
        "div", tag("main", brand, tag("div", tag("h1", title), *content, class_="panel")), class_="door"
    )


def _page(title: str, *content: Child, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = _inside(title, *content)
    head = joined(
        Markup('<meta charset="utf-8">'),
        tag("title", f"{title} · MarchProxy"),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        HEAD,
    )
    text = Markup("<!doctype html>") + tag("html", tag("head", head), tag("body", body), lang="en")
    return HTMLResponse(str(text), status, {"Cache-Control": "no-store", **(headers or {})})


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def local_address(to: str) -> str:
    """The page of ours that is meant; nothing leads to another site, or is read as one by a browser."""
    parts = urlsplit(to)
    foreign = parts.scheme or parts.netloc or not to.startswith("/") or to.startswith("//")
    if foreign or "\\" in to or not to.isprintable():
        return "/"
    return to


def _is_ours(request: Request) -> bool:
    """Whether a form was sent by a page of ours, as far as the browser says."""
    site = request.headers.get("sec-fetch-site")
    return site in {None, "same-origin", "none"}
