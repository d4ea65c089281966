"""What requests bring: who asks, why, whether it is meant, and a body in JSON or YAML. The parameters that routes share."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Header, Path, Query, Request

from marchproxy.contract.document import read_plain
from marchproxy.manager.access.http import caller, desk_of
from marchproxy.manager.api.listing import Listing, Past, listing, past
from marchproxy.manager.api.problems import HttpProblem
from marchproxy.manager.desk import Desk
from marchproxy.model.identity import Principal, Role
from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.model.revision import Author

AtDesk: TypeAlias = Annotated[Desk, Depends(desk_of)]
Wanted: TypeAlias = Annotated[Listing, Depends(listing)]
Older: TypeAlias = Annotated[Past, Depends(past)]

ReadsState: TypeAlias = Annotated[Principal, Depends(caller(Role.VIEWER, "state:read"))]
WritesState: TypeAlias = Annotated[Principal, Depends(caller(Role.OPERATOR, "state:write"))]
ReadsLive: TypeAlias = Annotated[Principal, Depends(caller(Role.VIEWER, "live:read"))]
Operates: TypeAlias = Annotated[Principal, Depends(caller(Role.OPERATOR, "live:operate"))]
ReadsCertificates: TypeAlias = Annotated[Principal, Depends(caller(Role.VIEWER, "certificates:read"))]
WritesCertificates: TypeAlias = Annotated[Principal, Depends(caller(Role.ADMIN, "certificates:write"))]
ReadsUsers: TypeAlias = Annotated[Principal, Depends(caller(Role.ADMIN, "users:read"))]
WritesUsers: TypeAlias = Annotated[Principal, Depends(caller(Role.ADMIN, "users:write"))]
ReadsKeys: TypeAlias = Annotated[Principal, Depends(caller(Role.VIEWER, "keys:read"))]
WritesKeys: TypeAlias = Annotated[Principal, Depends(caller(Role.VIEWER, "keys:write"))]
ReadsAudit: TypeAlias = Annotated[Principal, Depends(caller(Role.OPERATOR, "audit:read"))]
OwnSession: TypeAlias = Annotated[Principal, Depends(caller(Role.VIEWER, "session"))]

#: The number of a revision, or the id of a record.
Number: TypeAlias = Annotated[int, Path(ge=1, le=2**53)]

_JSON_TYPES = frozenset({"application/json", "text/json"})
_YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})


@dataclass(frozen=True, slots=True)
class Intent:
    """Why something is to be changed, and whether it is only to be tried."""

    reason: str
    dry_run: bool


def intent(
    dry_run: Annotated[bool, Query(description="check it everywhere, and change nothing")] = False,  # noqa: FBT002 - FastAPI's way
    reason: Annotated[str, Query(max_length=500, description="why, for the revision")] = "",
    told: Annotated[
        str, Header(alias="Marchproxy-Reason", max_length=500, description="as the parameter `reason`")
    ] = "",
) -> Intent:
    """What the parameters say."""
    return Intent(reason or told, dry_run)


Intended: TypeAlias = Annotated[Intent, Depends(intent)]


def author(principal: Principal) -> Author:
    """The principal as the author of a revision."""
    return Author(principal.name, principal.kind)


def wants_yaml(request: Request) -> bool:
    """Whether the caller would have YAML (`Accept`); JSON otherwise."""
    return any(kind in _YAML_TYPES for kind in _media_types(request.headers.get("accept", "")))


async def read_text(request: Request) -> bytes:
    """The body of a request that brings JSON or YAML; 415 for any other."""
    kind = next(iter(_media_types(request.headers.get("content-type", ""))), "")
    if kind not in _JSON_TYPES | _YAML_TYPES:
        raise HttpProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "send application/json or application/yaml, and say so in Content-Type",
        )
    return await request.body()


async def read_item(request: Request) -> dict[str, Any]:
    """The body as one mapping. Raises InvalidValue."""
    value = read_plain(await read_text(request))
    if not isinstance(value, Mapping):
        raise InvalidValue([Problem("", "must be a mapping of fields to values")])
    return dict(value)


def _media_types(header: str) -> list[str]:
    return [part.partition(";")[0].strip().lower() for part in header.split(",")]
