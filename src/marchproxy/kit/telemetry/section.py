"""The section `tracing`: where spans go, and whose."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from marchproxy.kit.settings import HostPort, Section

_ENDPOINT = re.compile(r"(?P<scheme>https?)://(?P<place>[^/?#@\s]+)/?")
_USUAL_PORT = 4317


def _endpoint(text: str) -> str:
    match = _ENDPOINT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        _place(match["place"])
    except ValueError:
        words = 'must be "http://host:port" or "https://host:port" of an OTLP/gRPC collector'
        raise PydanticCustomError("endpoint", words) from None
    return text


def _place(text: str) -> HostPort:
    has_port = re.search(r":[0-9]+$", text) if not text.endswith("]") else None
    return HostPort.parse(text if has_port else f"{text}:{_USUAL_PORT}")


HeaderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,100}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,4096}$")]


class TracingSection(Section):
    """Traces of requests and of changes, over OTLP/gRPC, from every process of the file."""

    endpoint: Annotated[str, AfterValidator(_endpoint)]
    """The collector: `http://host:4317`, or `https://…` for TLS."""
    sample_percent: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Of how many requests that come without a trace; one that brings a trace is traced as its trace says."""
    service_name: Annotated[str, Field(min_length=1, max_length=100)] = "marchproxy"
    """What traces call us; each kind of process adds its own name: `marchproxy-alb`."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Sent with every export, such as a key of the collector's."""
    ca: Path | None = None
    """Who signed the collector's certificate (PEM); none: whoever the system trusts."""

    @property
    def secure(self) -> bool:
        """Whether the collector is spoken to over TLS."""
        return self.endpoint.startswith("https:")

    @property
    def collector(self) -> HostPort:
        """Where the collector listens."""
        return _place(self.endpoint.split("//", 1)[1].rstrip("/"))

    def __repr_args__(self) -> Any:
        """All but the headers' values, which may be keys."""
        return [(name, "…" if name == "headers" else value) for name, value in super().__repr_args__()]


@dataclass(frozen=True, slots=True)
class Service:
    """Whose spans they are: the kind of process (`nlb`), which one, and its version."""

    kind: str
    instance: str
    version: str = ""

    def name(self, section: TracingSection) -> str:
        """What traces call it."""
        return f"{section.service_name}-{self.kind}"
