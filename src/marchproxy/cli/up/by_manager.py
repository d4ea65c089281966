"""Reload where the file has a manager: it is given what the file says now, and puts that in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from marchproxy.cli.manager.local import local_client
from marchproxy.cli.manager.place import ManagerAway
from marchproxy.contract.document import encode
from marchproxy.contract.fleet.takers import Refusal
from marchproxy.manager.places import FILE_PATH
from marchproxy.manager.settings import ManagerSettings
from marchproxy.model.state import DesiredState

_WHO = "manager"


#: What a connection can end with after the manager has heard the question.
_UNANSWERED = (
    httpx.ReadTimeout,
    httpx.ReadError,
    httpx.WriteTimeout,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of a file that was handed over. `known` is False where the manager did not say: it may be in force."""

    refusals: tuple[Refusal, ...] = ()
    said: str = ""
    known: bool = True


async def hand_over(settings: ManagerSettings, state: DesiredState, file: Path) -> Handed:
    """Have the manager put a state in force."""
    try:
        async with local_client(settings) as client:
            answer = await client.post(FILE_PATH, params={"source": str(file)}, content=encode(state))
    except _UNANSWERED as error:
        return Handed(said=_words(error), known=False)
    except (ManagerAway, httpx.HTTPError, OSError) as error:
        return Handed(_refused(f"the manager at {settings.http} cannot be asked: {_words(error)}"))
    if answer.is_success:
        return Handed(said=_revision(answer))
    known = answer.status_code != HTTPStatus.GATEWAY_TIMEOUT
    return Handed(_refused(*_reasons(answer)), known=known)


def _refused(*reasons: str) -> tuple[Refusal, ...]:
    return (Refusal(_WHO, reasons),)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _revision(answer: httpx.Response) -> str:
    found = answer.json()
    return f"revision {found['revision']}{'' if found['applied'] else ', as before: it says nothing new'}"


def _reasons(answer: httpx.Response) -> list[str]:
    try:
        problem: Mapping[str, Any] = answer.json()
        found = [f"{one['path']}: {one['message']}".removeprefix(": ") for one in problem.get("problems", ())]
        return found or [str(problem["detail"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"HTTP {answer.status_code}: {answer.text[:500]}"]
