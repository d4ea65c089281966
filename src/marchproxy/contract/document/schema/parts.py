"""Parts: what the sections of the document share."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from marchproxy.kit.settings import Seconds
from marchproxy.kit.settings.types import parse_seconds


def short_for(key: str) -> BeforeValidator:
    """A plain text stands for a section in which only `key` is given."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _without_sign_of_zero(seconds: float) -> float:
    return seconds + 0.0  # -0.0 equals 0.0 and must encode to the same bytes


Number = Annotated[float, AfterValidator(_without_sign_of_zero)]
Duration = Annotated[Seconds, AfterValidator(_without_sign_of_zero)]
#: A duration where only whole seconds can be told.
WholeSeconds = Annotated[int, BeforeValidator(parse_seconds), Field(ge=0)]
Labels = dict[str, str]
