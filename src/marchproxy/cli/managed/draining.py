"""`marchproxy drain`: an instance gets nothing new, and one waits for what it has."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import typer

from marchproxy.cli.failing import FAILED
from marchproxy.cli.managed.asked import Asked
from marchproxy.cli.managed.client import Api, NotAccepted
from marchproxy.cli.managed.running import run_api
from marchproxy.cli.screen import stdout

_LOOK_SECONDS = 0.5


def drain(asked: Asked, instance: str, *, wait: float | None) -> None:
    """Send it nothing new; with `wait`, exit code 1 where it still has connections after so many seconds. Raises typer.Exit."""

    async def run(api: Api) -> tuple[dict[str, Any], int]:
        done = (await api.send("POST", f"{_path(instance)}/drain")).json()
        if not asked.as_json:
            stdout().print(f"{done['by'][0][1] if done['by'] else done['message']}")
        left = 0 if wait is None else await _emptied(api, instance, wait, quiet=asked.as_json)
        return done, left

    done, left = run_api(asked, run)
    if asked.as_json:
        typer.echo(json.dumps({**done, "left": None if wait is None else left}))
    elif wait is not None:
        typer.echo(f"{instance}: {left or 'no'} connections are open")
    if left:
        raise typer.Exit(FAILED)


def undrain(asked: Asked, instance: str) -> None:
    """Send it traffic again. Raises typer.Exit."""

    async def run(api: Api) -> dict[str, Any]:
        found: dict[str, Any] = (await api.send("POST", f"{_path(instance)}/undrain")).json()
        return found

    done = run_api(asked, run)
    typer.echo(json.dumps(done) if asked.as_json else f"{instance}: {done['message']}")


async def _emptied(api: Api, instance: str, seconds: float, *, quiet: bool) -> int:
    """Wait for its connections to end; how many are left. An instance that has gone has none."""
    left, told = 0, -1
    try:
        async with asyncio.timeout(seconds):
            while True:
                part = (await api.get(_path(instance))).json()
                left = part["connections"]
                if part["draining"] and not left:
                    return 0
                if left != told and not quiet:
                    stdout().print(f"{instance}: {left} connections are open", style="dim")
                    told = left
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        return left
    except NotAccepted as error:
        if error.status == 404:
            return 0
        raise


def _path(instance: str) -> str:
    return f"/instances/{quote(instance, safe='')}"
