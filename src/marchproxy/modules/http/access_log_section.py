"""The section `access_log` in the settings of an ALB. An NLB reads it too, and needs nothing of the compiler."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from marchproxy.engines.envoy.access_log_section import AccessLogSection
from marchproxy.engines.envoy.operators import fault
from marchproxy.kit.settings.problems import suggestion
from marchproxy.modules.http.log_fields import FIELDS, USUAL

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]


def _by_name(value: object) -> object:
    """A list of names as what they stand for; anything else is left to the type."""
    if not isinstance(value, list | tuple):
        return value
    for name in value:
        if name not in FIELDS:
            raise ValueError(f'unknown field "{name}"{suggestion(str(name), FIELDS)}')
        if value.count(name) > 1:
            raise ValueError(f'"{name}" is named twice')
    return {name: FIELDS[name] for name in value}


class HttpAccessLog(AccessLogSection):
    """A line of JSON for each request, when it ends."""

    fields: Annotated[dict[FieldName, str], BeforeValidator(_by_name)] = Field(
        default_factory=lambda: dict(USUAL), min_length=1
    )
    """Names of fields, or a mapping of names of one's own to such fields, or to texts with operators of Envoy's."""

    @field_validator("fields")
    @classmethod
    def _sound(cls, fields: Mapping[str, str]) -> dict[str, str]:
        sound = {}
        for name, text in fields.items():
            sound[name] = FIELDS.get(text, text)
            if "%" not in sound[name]:
                raise ValueError(
                    f'{name}: "{text}" is no field{suggestion(text, FIELDS)}, and has no operator such as %PROTOCOL%'
                )
            if (words := fault(sound[name])) is not None:
                raise ValueError(f"{name}: {words}")
        return sound
