"""Parts: what the sections of the document share."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from marchproxy.kit.settings import Seconds
from marchproxy.kit.settings.types import parse_seconds


class ShortForm(BeforeValidator):
    """Before a section is read, text becomes one; its JSON schema says so."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"type": "string"}]}


def short_for(key: str) -> BeforeValidator:
    """A plain text stands for a section in which only `key` is given."""
    return ShortForm(lambda value: {key: value} if isinstance(value, str) else value)


def _without_sign_of_zero(seconds: float) -> float:
    return seconds + 0.0  # -0.0 equals 0.0 and must encode to the same bytes


Number = Annotated[float, AfterValidator(_without_sign_of_zero)]
Duration = Annotated[Seconds, AfterValidator(_without_sign_of_zero)]
#: A duration where only whole seconds can be told.
_WholeNumber = Annotated[int, Field(ge=0)]
WholeSeconds = Annotated[
    _WholeNumber, BeforeValidator(parse_seconds, json_schema_input_type=_WholeNumber | str)
]
Labels = dict[str, str]
