"""`marchproxy diff`, `export` and `revisions`: what is in force, what was, and how they differ."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from marchproxy.cli.failing import fail
from marchproxy.cli.managed.asked import Asked
from marchproxy.cli.managed.client import Api
from marchproxy.cli.managed.differences import differences, summarised
from marchproxy.cli.managed.offer import read_offer
from marchproxy.cli.managed.running import run_api
from marchproxy.cli.screen import Sheet, columns, printable, stdout
from marchproxy.kit.files import write_atomically

_YAML = "application/yaml"


def show_file_diff(asked: Asked, file: Path) -> bool:
    """Print what applying a file would change; whether it would. Raises typer.Exit."""
    content = read_offer(file, as_json=asked.as_json).content

    async def ask(api: Api) -> dict[str, Any]:
        headers = {"content-type": "application/json"}
        found: dict[str, Any] = (await api.send("POST", "/diff", content=content, headers=headers)).json()
        return found

    return _show(run_api(asked, ask), as_json=asked.as_json)


def show_diff(asked: Asked, first: int, second: int | None) -> bool:
    """Print what a revision changed, or what differs from one to another; whether anything does. Raises typer.Exit."""
    number, params = (first, {}) if second is None else (second, {"against": first})

    async def ask(api: Api) -> dict[str, Any]:
        found: dict[str, Any] = (await api.get(f"/revisions/{number}/diff", params=params)).json()
        return found

    return _show(run_api(asked, ask), as_json=asked.as_json)


def _show(found: Mapping[str, Any], *, as_json: bool) -> bool:
    if as_json:
        typer.echo(json.dumps(found))
    else:
        stdout().print(differences(found["changes"]), soft_wrap=True)
    return bool(found["changes"])


def export(asked: Asked, revision: int | None, output: Path | None) -> None:
    """Write the desired state as YAML (JSON with --json), to a file or to stdout. Raises typer.Exit."""

    async def ask(api: Api) -> bytes:
        path = "/state" if revision is None else f"/revisions/{revision}"
        if not asked.as_json:
            return (await api.get(path, headers={"accept": _YAML})).content
        found = (await api.get(path)).json()
        return json.dumps(found if revision is None else found["document"]).encode() + b"\n"

    content = run_api(asked, ask)
    if output is None:
        typer.echo(content, nl=False)
        return
    try:
        write_atomically(output, content)
    except OSError as error:
        fail(f"{output}: cannot be written: {error.strerror or error}")


def show_revisions(asked: Asked, limit: int) -> None:
    """List revisions, the newest first. Raises typer.Exit."""

    async def ask(api: Api) -> dict[str, Any]:
        found: dict[str, Any] = (await api.get("/revisions", params={"limit": limit})).json()
        return found

    found = run_api(asked, ask)
    if asked.as_json:
        typer.echo(json.dumps(found))
        return
    console = stdout()
    console.print(revisions(found["items"]).rendered())
    if found["next"]:
        console.print(f"older ones: marchproxy revisions --limit {limit * 2}", style="dim")


def revisions(heads: Sequence[Mapping[str, Any]]) -> Sheet:
    """Revisions as a table."""
    rows = [
        (
            str(head["number"]),
            f"{datetime.fromisoformat(head['created_at']):%Y-%m-%d %H:%M:%S}",
            _author(head["author"]),
            summarised(head["summary"]),
            printable(head["reason"]),
        )
        for head in heads
    ]
    return Sheet(
        "Revisions", columns("#number", "made (UTC)", "by", "changed", "why"), rows, "there is none yet"
    )


def _author(author: Mapping[str, str]) -> str:
    name, kind = printable(author["name"]), author["kind"]
    return name if kind in {"user", name} else f"{name} ({kind})"
