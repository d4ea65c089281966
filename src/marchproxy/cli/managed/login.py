"""`marchproxy login` and `logout`: a password is turned into an API key of one's own, which a context keeps."""

import getpass
import json
import os
import socket
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import typer

from marchproxy.cli.failing import fail, warn
from marchproxy.cli.managed.asked import place_of
from marchproxy.cli.managed.client import Api, NotAccepted, Unreachable
from marchproxy.cli.managed.contexts import LOCAL, Context, contexts_file, read_contexts, write_contexts
from marchproxy.cli.managed.destination import Destination
from marchproxy.cli.managed.running import api_failures, interruptible, run_at
from marchproxy.cli.manager.place import Place, trusting
from marchproxy.kit.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is logged in to. `days`: how long the key is good."""

    destination: Destination
    user: str
    ca: Path | None
    days: int
    name: str = ""

    @property
    def context(self) -> str:
        """What it is to be called."""
        return self.name or self.destination.name


@dataclass(frozen=True, slots=True)
class _Session:
    """Somebody who has signed in, from one call to the next."""

    cookies: httpx.Cookies
    view: Mapping[str, Any]

    def options(self) -> dict[str, Any]:
        return {"headers": {"x-csrf-token": self.view["csrf"]}}


def log_in(wanted: Wanted, *, as_json: bool) -> None:
    """Ask for name and password, make a key, and keep it as the current context. Raises typer.Exit."""
    with api_failures(as_json=as_json):
        file = contexts_file(os.environ)
        contexts = read_contexts(file)  # before a password is asked for in vain
        place = _place(wanted)
        run_at(place, lambda api: api.recognise())
        user = wanted.user or _ask("User", hidden=False)
        password = _ask("Password", hidden=True)
        session = run_at(place, lambda api: _sign_in(api, user, password))
        if session.view["must_change"]:
            chosen = _choose(user)
            before = session
            session = run_at(place, lambda api: _change(api, before, password, chosen))
        made = run_at(place, lambda api: _make_key(api, session, wanted.days))
        context = Context(
            url=place.url, key=made["secret"], key_id=made["key"]["id"], user=user, ca=_absolute(wanted.ca)
        )
        write_contexts(file, contexts.with_context(wanted.context, context))
        if (old := contexts.contexts.get(wanted.context)) is not None:
            _end_key(old)
    role, until = made["key"]["role"], made["key"]["expires_at"][:10]
    if as_json:
        typer.echo(
            json.dumps(
                {"context": wanted.context, "url": place.url, "user": user, "role": role, "until": until}
            )
        )
        return
    typer.echo(
        f"{user} ({role}) at {place.url}: context {wanted.context}, good until {until}, kept in {file}"
    )


def log_out(name: str, *, as_json: bool) -> None:
    """End the key of a context, of the current one if none is named, and forget it. Raises typer.Exit."""
    with api_failures(as_json=as_json):
        file = contexts_file(os.environ)
        contexts = read_contexts(file)
        name = name or contexts.current
        if name in {"", LOCAL}:
            fail("nobody is logged in here; `marchproxy context list` shows where one is")
        context = contexts.named(name)
        ended = _end_key(context)
        write_contexts(file, contexts.without(name))
    if as_json:
        typer.echo(json.dumps({"context": name, "url": context.url, "ended": ended}))
    else:
        typer.echo(f"logged out of {context.url}" if ended else f"context {name} is forgotten")


def _place(wanted: Wanted) -> Place:
    if wanted.ca is None:
        return Place(wanted.destination.url)
    try:
        return Place(wanted.destination.url, trusted=trusting(wanted.ca))
    except (OSError, ssl.SSLError) as error:
        fail(f"{wanted.ca}: cannot be used: {error.strerror or error}")


def _ask(what: str, *, hidden: bool) -> str:
    """Ask on a terminal; elsewhere the next line of stdin is it."""
    if not sys.stdin.isatty():
        answer = sys.stdin.readline().rstrip("\r\n")
        if not answer:
            fail(f"{what.lower()}: nothing on stdin; give it there, on a line of its own")
        return answer
    with interruptible():
        found: str = typer.prompt(what, hide_input=hidden)
    return found


def _choose(user: str) -> str:
    if not sys.stdin.isatty():
        return _ask("New password", hidden=True)
    typer.echo(f"{user} has to choose a password of their own first.")
    with interruptible():
        found: str = typer.prompt("New password", hide_input=True, confirmation_prompt="The same again")
    return found


async def _sign_in(api: Api, user: str, password: str) -> _Session:
    try:
        answer = await api.send("POST", "/session", json={"name": user, "password": password})
    except NotAccepted as error:
        fail(str(error))
    return _Session(api.http.cookies, answer.json())


async def _change(api: Api, session: _Session, old: str, new: str) -> _Session:
    api.http.cookies.update(session.cookies)
    answer = await api.send("POST", "/session/password", json={"old": old, "new": new}, **session.options())
    return _Session(api.http.cookies, answer.json())


async def _make_key(api: Api, session: _Session, days: int) -> dict[str, Any]:
    api.http.cookies.update(session.cookies)
    key = {
        "name": f"marchproxy of {getpass.getuser()} at {socket.gethostname()}"[:100],
        "role": session.view["role"],
        "expires_at": (datetime.now(UTC) + timedelta(days=days)).isoformat(),
    }
    try:
        made: dict[str, Any] = (await api.send("POST", "/api-keys", json=key, **session.options())).json()
    finally:
        with suppress(NotAccepted, Unreachable):  # it ends by itself, later
            await api.send("DELETE", "/session", **session.options())
    return made


def _end_key(context: Context) -> bool:
    """Have the manager end it; whether it is not good any more. Where it still is, why is told."""
    try:
        run_at(place_of(context), lambda api: api.send("DELETE", f"/api-keys/{context.key_id}"))
    except NotAccepted as error:
        if error.status not in {401, 404}:
            warn(f"the key {context.key_id} is still good: {error}")
            return False
    except (Unreachable, SettingsError) as error:
        warn(f"the key {context.key_id} is still good, end it in the UI: {error}")
        return False
    return True


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
