"""Reload where the file has a manager: it is given what the file says now, and puts that in force."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from marchproxy.cli.manager.local import ManagerAway, local_client
from marchproxy.contract.document import encode
from marchproxy.contract.fleet.takers import Refusal
from marchproxy.manager.places import FILE_PATH
from marchproxy.manager.settings import ManagerSettings
from marchproxy.model.state import DesiredState

_WHO = "manager"


async def hand_over(settings: ManagerSettings, state: DesiredState, file: Path) -> list[Refusal]:
    """Have the manager put a state in force; why it does not, or nothing."""
    try:
        async with local_client(settings) as client:
            answer = await client.post(FILE_PATH, params={"source": str(file)}, content=encode(state))
    except (ManagerAway, httpx.HTTPError, OSError) as error:
        words = str(error) or type(error).__name__
        return [Refusal(_WHO, (f"the manager at {settings.http} cannot be asked: {words}",))]
    if answer.is_success:
        return []
    return [Refusal(_WHO, tuple(_reasons(answer)))]


def _reasons(answer: httpx.Response) -> list[str]:
    try:
        problem: Mapping[str, Any] = answer.json()
        found = [f"{one['path']}: {one['message']}".removeprefix(": ") for one in problem.get("problems", ())]
        return found or [str(problem["detail"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"HTTP {answer.status_code}: {answer.text[:500]}"]
