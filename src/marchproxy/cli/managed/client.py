"""A manager's REST API as a command asks it: an answer, or a failure that says whether it was refused or not reached."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

_BASE = "/api/v1"
_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_OURS = "urn:marchproxy:problem:"
_ANSWERS = ("application/json", "application/yaml")


class Unreachable(Exception):
    """The manager gave no answer; the message says where, why, and what to do."""


class NotAccepted(Exception):
    """The manager refused (RFC 9457). `problem` is what it says of that."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, problem
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP {status}"))


class Api:
    """A manager. Every call raises Unreachable and NotAccepted."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.http.base_url).rstrip("/")

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask for something below /api/v1; `options` are httpx's."""
        return await self.send("GET", path, **options)

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Have something done; a 304 is an answer, too."""
        try:
            answer = await self.http.request(method, f"{_BASE}{path}", **options)
        except (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError) as error:
            doubt = "" if method == "GET" else ": whether it was done is not known; look again"
            raise Unreachable(f"{self.url} did not answer ({_reason(error)}){doubt}") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"nobody answers at {self.url}: {_reason(error)}") from error
        if answer.status_code == HTTPStatus.NOT_MODIFIED:
            return answer
        if answer.is_success and answer.headers.get("content-type", "").startswith(_ANSWERS):
            return answer
        if answer.is_error and (problem := _problem(answer)) is not None:
            raise NotAccepted(answer.status_code, problem)
        raise Unreachable(self._stranger(answer))

    async def recognise(self) -> None:
        """Make sure that this is a manager, before it is told a password. Raises Unreachable."""
        try:
            answer = await self.get("/session")
        except NotAccepted:
            return
        raise Unreachable(self._stranger(answer))

    def _stranger(self, answer: httpx.Response) -> str:
        return f"{self.url} answers (HTTP {answer.status_code}), but is no manager: its address is `manager.http` of its file"


def _reason(error: httpx.HTTPError) -> str:
    words = str(error) or type(error).__name__
    if _CERTIFICATE in words:
        return f"its certificate is not to be trusted; --ca FILE names who vouches for it ({words})"
    return words


def _problem(answer: httpx.Response) -> Mapping[str, Any] | None:
    """What a manager says of a failure; None where it is none of a manager's."""
    try:
        found = answer.json()
    except ValueError:
        return None
    if isinstance(found, dict) and str(found.get("type", "")).startswith(_OURS):
        return found
    return None
