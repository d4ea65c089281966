"""`marchproxy canary`: a version gets traffic in watched steps, and one sees why it goes on or back."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console
from rich.live import Live

from marchproxy.cli.failing import FAILED, fail
from marchproxy.cli.managed.asked import Asked
from marchproxy.cli.managed.client import Api
from marchproxy.cli.managed.rollouts import RAMPING, chosen, decisions, phase_text, standing, told
from marchproxy.cli.managed.running import run_api
from marchproxy.cli.screen import stdout

_LOOK_SECONDS = 0.5
_SEEN_SECONDS = 20.0
_REVISION_SECONDS = 30.0
_MOST = 1000
_SHOWN = 8
"""Decisions that are seen at once while one watches."""


@dataclass(frozen=True, slots=True)
class Where:
    """Whose versions: of the pools of a route, or of the modules behind a listener."""

    name: str
    on: str = "route"

    @property
    def body(self) -> dict[str, Any]:
        """As the API has it."""
        return {"on": self.on, "target": self.name}


def start(asked: Asked, where: Where, version: str, pace: Mapping[str, Any], *, detach: bool) -> None:
    """Start it, and watch it to its end: exit code 1 where it is rolled back. Raises typer.Exit."""

    async def run(api: Api) -> Mapping[str, Any]:
        before = await _one(api, where, version)
        body = {**where.body, "version": version, **pace}
        done: dict[str, Any] = (await api.send("POST", "/rollouts", json=body)).json()
        if not asked.as_json:
            stdout().print(f"{done['message']}")
        if detach:
            return done
        return await _Watch(api, where, version, quiet=asked.as_json).to_end(_stamp(before))

    found = run_api(asked, run)
    if asked.as_json:
        typer.echo(json.dumps(found))
    if not detach and found["phase"] != "promoted":
        raise typer.Exit(FAILED)


def status(asked: Asked, where: Where | None, *, watch: bool) -> None:
    """Print where canaries stand, with every decision; `watch`: one of them to its end. Raises typer.Exit."""

    async def run(api: Api) -> list[Mapping[str, Any]]:
        if where is None:
            return await _all(api)
        found = await _one(api, where)
        if found is None:
            fail(f'no canary was on {where.on} "{where.name}" since its parts were started')
        if watch and found["phase"] == RAMPING:
            found = await _Watch(api, where, found["version"], quiet=asked.as_json).to_end("")
        return [found]

    found = run_api(asked, run)
    if asked.as_json:
        typer.echo(json.dumps({"items": found}))
    elif not watch:
        console = stdout()
        for one in found:
            console.print(told(one))
        if not found:
            console.print("no version was given traffic in steps", style="dim")


def end(asked: Asked, where: Where, version: str, *, forwards: bool) -> None:
    """Give a version everything now, or go back to what is desired, or to a version. Raises typer.Exit."""
    path = "/rollouts/promote" if forwards else "/rollouts/rollback"

    async def run(api: Api) -> dict[str, Any]:
        body = {**where.body, "version": version}
        found: dict[str, Any] = (await api.send("POST", path, json=body)).json()
        return found

    done = run_api(asked, run)
    if asked.as_json:
        typer.echo(json.dumps(done))
        return
    number = f" (revision {done['revision']['number']})" if done["revision"] else ""
    typer.echo(f"{done['message']}{number}")


class _Watch:
    """One rollout until it has ended: as a table that is drawn again on a terminal, else line by line."""

    def __init__(self, api: Api, where: Where, version: str, *, quiet: bool) -> None:
        self._api, self._where, self._version = api, where, version
        self._console = Console(quiet=True) if quiet else stdout()
        self._told = 0
        self._stands = ""

    async def to_end(self, stale: str) -> Mapping[str, Any]:
        """Watch it; `stale` is the stamp of one that had ended before. Raises as Api."""
        head = await self._head()
        found = await self._first(stale)
        if self._console.is_terminal and not self._console.quiet:
            with Live(console=self._console, auto_refresh=False, transient=False) as live:
                found = await self._follow(
                    found, lambda one: live.update(told(one, most=_SHOWN), refresh=True)
                )
        else:
            found = await self._follow(found, self._lines)
            self._console.print(standing(found))
        if found["phase"] == "promoted":
            await self._revision(head["number"])
        return found

    async def _first(self, stale: str) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(_SEEN_SECONDS):
                while True:
                    found = await _one(self._api, self._where, self._version)
                    if found is not None and (found["phase"] == RAMPING or _stamp(found) != stale):
                        return found
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            fail("it has begun, but nobody reports it: `marchproxy canary status` looks again")

    async def _follow(
        self, found: Mapping[str, Any], show: Callable[[Mapping[str, Any]], None]
    ) -> Mapping[str, Any]:
        missed = 0
        while True:
            show(found)
            if found["phase"] != RAMPING:
                return found
            await asyncio.sleep(_LOOK_SECONDS)
            newer = await _one(self._api, self._where, self._version)
            missed = 0 if newer is not None else missed + 1
            if missed > _SEEN_SECONDS / _LOOK_SECONDS:
                fail("nobody carries it out any more: somebody has ended it, or its parts were started again")
            found = newer or found

    def _lines(self, found: Mapping[str, Any]) -> None:
        stands = phase_text(found)
        if stands.plain != self._stands:
            self._console.print(stands)
        for line in decisions(found, self._told):
            self._console.print(line, soft_wrap=True)
        self._told, self._stands = len(found["decisions"]), stands.plain

    async def _revision(self, before: int) -> None:
        """The manager writes one soon after the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_REVISION_SECONDS):
                head = await self._head()
                while head["number"] <= before or head["author"]["kind"] != "rollout":
                    await asyncio.sleep(_LOOK_SECONDS)
                    head = await self._head()
            self._console.print(f"revision {head['number']}: {head['reason']}", soft_wrap=True)

    async def _head(self) -> Mapping[str, Any]:
        heads: list[Mapping[str, Any]] = (await self._api.get("/revisions", params={"limit": 1})).json()[
            "items"
        ]
        return heads[0]


async def _all(api: Api) -> list[Mapping[str, Any]]:
    items: list[Mapping[str, Any]] = (await api.get("/rollouts", params={"limit": _MOST})).json()["items"]
    return items


async def _one(api: Api, where: Where, version: str = "") -> Mapping[str, Any] | None:
    return chosen(await _all(api), on=where.on, target=where.name, version=version)


def _stamp(rollout: Mapping[str, Any] | None) -> str:
    return "" if rollout is None else f"{rollout['updated_at']} {len(rollout['decisions'])}"
