"""`marchproxy rollback`: an earlier revision is put in force again."""

from typing import Any

from marchproxy.cli.failing import fail
from marchproxy.cli.managed.asked import Asked
from marchproxy.cli.managed.client import Api
from marchproxy.cli.managed.proposing import Consent, Proposal, propose
from marchproxy.cli.managed.running import run_api


def roll_back(asked: Asked, revision: int | None, reason: str, consent: Consent) -> None:
    """Restore a revision, or the one before the one in force. Raises typer.Exit."""
    number = revision if revision is not None else _before(run_api(asked, _newest))
    path = f"/revisions/{number}/restore"
    propose(asked, Proposal(path, {"reason": reason or f"back to revision {number}"}), consent)


async def _newest(api: Api) -> dict[str, Any]:
    heads: list[dict[str, Any]] = (await api.get("/revisions", params={"limit": 1})).json()["items"]
    return heads[0]


def _before(head: dict[str, Any]) -> int:
    parent: int | None = head["parent"]
    if parent is None:
        fail(f"revision {head['number']} is the first one; there is none before it")
    return parent
