"""Proposing: what is to be put in force is shown first, then agreed to, then followed from part to part."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.text import Text

from marchproxy.cli.failing import FAILED, fail
from marchproxy.cli.managed.asked import Asked
from marchproxy.cli.managed.client import Api, NotAccepted, Unreachable
from marchproxy.cli.managed.differences import differences
from marchproxy.cli.managed.progress import Told
from marchproxy.cli.managed.running import interruptible, run_api
from marchproxy.cli.screen import stdout

_LOOK_SECONDS = 0.2
_REPORT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request of the API that makes a revision, or with `dry_run` says what that would be."""

    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    content: bytes | None = None
    guarded: bool = False
    """It replaces whatever is in force, so what was shown must still be that."""

    async def rehearse(self, api: Api) -> dict[str, Any]:
        """What it would do; changes nothing."""
        return await self._send(api, {"dry_run": "true"}, {})

    async def carry_out(self, api: Api, rehearsed: Mapping[str, Any]) -> dict[str, Any]:
        """Do what was rehearsed."""
        parent = rehearsed["revision"]["parent"]
        return await self._send(api, {}, {"if-match": f'"r{parent}"'} if self.guarded else {})

    async def _send(self, api: Api, params: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        answer = await api.send(
            "POST",
            self.path,
            params={**self.params, **params},
            content=self.content,
            headers={"content-type": "application/json", **headers},
        )
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether somebody has to be asked, and whether anything is to be done at all."""

    yes: bool = False
    dry_run: bool = False


def propose(asked: Asked, proposal: Proposal, consent: Consent) -> None:
    """Show what it does, ask, do it, and follow it. Raises typer.Exit."""
    may_ask = sys.stdin.isatty() and not asked.as_json
    if not (consent.yes or consent.dry_run or may_ask):
        raise typer.BadParameter("nobody can be asked here: add --yes, or --dry-run to see what it would do")
    rehearsed = run_api(asked, proposal.rehearse)
    refused = [part for part in rehearsed["parts"] if part["problems"]]
    is_over = consent.dry_run or bool(refused) or not rehearsed["changes"]
    if asked.as_json and is_over:
        typer.echo(json.dumps(rehearsed))
    elif not asked.as_json:
        _show(stdout(), rehearsed)
    if refused:
        raise typer.Exit(FAILED)
    if is_over:
        return
    if not (consent.yes or _agreed(rehearsed)):
        fail("nothing was changed")
    outcome = run_api(asked, lambda api: _followed(api, proposal, rehearsed, quiet=asked.as_json))
    if asked.as_json:
        typer.echo(json.dumps(outcome))


def _show(console: Console, outcome: Mapping[str, Any]) -> None:
    """What a rehearsal found."""
    number, parent = outcome["revision"]["number"], outcome["revision"]["parent"]
    if not outcome["changes"]:
        console.print(f"revision {parent} says the same: there is nothing to do")
        return
    console.print(differences(outcome["changes"]), soft_wrap=True)
    if outcome["merged"]:
        console.print("what others have changed meanwhile stays")
    for part in outcome["parts"]:
        name = f"  {part['name']}" if part["kind"] in {"", "nlb"} else f"  {part['name']} ({part['kind']})"
        for problem in part["problems"]:
            words = f"{problem['path']}: {problem['message']}" if problem["path"] else problem["message"]
            Console(stderr=True, highlight=False).print(Text(f"{name}: {words}", style="red"), soft_wrap=True)
        if not part["problems"]:
            does = "would take it" if part["would_change"] else "runs it already"
            console.print(Text(f"{name}: {does}", style="dim"))
    console.print(f"it would be revision {number}")


def _agreed(outcome: Mapping[str, Any]) -> bool:
    with interruptible():
        return typer.confirm(f"Put revision {outcome['revision']['number']} in force?")


async def _followed(
    api: Api, proposal: Proposal, rehearsed: Mapping[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Do it, and tell from which parts it is heard, until all of them run it. Raises as Api."""
    console = Console(quiet=True) if quiet else stdout()
    told = Told(rehearsed["revision"]["parent"])
    async with asyncio.TaskGroup() as group:
        making = group.create_task(_caught(api, proposal, rehearsed))
        while not making.done():
            await asyncio.wait([making], timeout=_LOOK_SECONDS)
            await _look(api, told, console)
    outcome = making.result()
    if isinstance(outcome, Exception):
        raise outcome
    number = outcome["revision"]["number"]
    if not outcome["applied"]:
        console.print(f"revision {number} says the same: there was nothing to do")
        return outcome
    console.print(Text(f"revision {number} is in force", style="bold green"))
    await _reported(api, told, console)
    return outcome


async def _reported(api: Api, told: Told, console: Console) -> None:
    try:
        async with asyncio.timeout(_REPORT_SECONDS):
            while await _look(api, told, console):
                if told.ended:
                    return
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        late = ", ".join(told.silent)
        console.print(
            Text(f"not reported yet by {late}: `marchproxy top` shows who runs what", style="yellow")
        )


async def _look(api: Api, told: Told, console: Console) -> bool:
    """Tell what is new of it; False where the manager does not say."""
    try:
        answer = await api.get("/revisions/progress")
    except (NotAccepted, Unreachable, httpx.HTTPError):
        return False  # the apply itself tells what is wrong
    for line in told.lines(answer.json()["applying"]):
        console.print(line)
    return True


async def _caught(
    api: Api, proposal: Proposal, rehearsed: Mapping[str, Any]
) -> "dict[str, Any] | NotAccepted | Unreachable":
    # handed over as a value, so that the TaskGroup does not wrap it in a group
    try:
        return await proposal.carry_out(api, rehearsed)
    except (NotAccepted, Unreachable) as error:
        return error
