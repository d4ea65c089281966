"""Describing: how bodies and lists look in the OpenAPI document."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


class Listed(BaseModel, Generic[T]):
    """A page of a list. `next` is the cursor of the page that follows, empty on the last; `total` counts all pages."""

    items: list[T]
    total: int
    next: str
    revision: int


class Paged(BaseModel, Generic[T]):
    """A page of a list of what is not the desired state, otherwise like the lists of that."""

    items: list[T]
    total: int
    next: str


class Removed(BaseModel):
    """What was removed, and when."""

    removed: str
    at: datetime


class Recorded(BaseModel, Generic[T]):
    """A page of what is written down, the newest first. `next` is the cursor of the page that follows, empty on the last."""

    items: list[T]
    next: str


def described_body(model: type[BaseModel], example: Any) -> dict[str, Any]:
    """A request's body as the OpenAPI document has it, in JSON or YAML; it is read by us and not by FastAPI."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {"schema": schema, "examples": {"example": {"value": example}}}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": content, "application/yaml": content},
        }
    }
