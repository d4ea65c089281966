"""Types that settings share: network addresses and durations, both written as people write them."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,5})")
_DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host (name, IPv4 or IPv6 address) and a port. Port 0 asks the system for a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "HostPort":
        """Read `127.0.0.1:80`, `localhost:0` or `[::1]:80`. Raises ValueError."""
        return _parse_host_port(text)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "examples": ["127.0.0.1:8080"]}

    @classmethod
    def _validate(cls, value: object) -> "HostPort":
        if isinstance(value, HostPort):
            return value
        if not isinstance(value, str):
            raise ValueError('must be text such as "127.0.0.1:8080"')  # noqa: TRY004 - pydantic reports ValueError only
        return cls.parse(value)


@lru_cache(maxsize=16_384)  # a plan asks for the same thousand at every change
def _parse_host_port(text: str) -> HostPort:
    match = _HOST_PORT.fullmatch(text.strip())
    if match is None:
        raise ValueError('must be "host:port", with an IPv6 address in brackets, such as "[::1]:8080"')
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"port must be 0 to 65535, not {port}")
    return HostPort(match["ipv6"] or match["host"], port)


def parse_seconds(value: object) -> object:
    """Turn `250ms`, `30s`, `5m`, `1h` or `1.5` into seconds. Numbers pass. Raises ValueError on other text."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError('must be seconds or a duration such as "250ms", "30s", "5m" or "1h"')
    return float(match["number"]) * _UNITS[match["unit"]]


_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[_NotNegative, BeforeValidator(parse_seconds, json_schema_input_type=_NotNegative | str)]
