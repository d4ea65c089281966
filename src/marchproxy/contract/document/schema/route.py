"""`routes`: what a request must look like, and what becomes of it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marchproxy.contract.document.schema.ai import AiRouteDocument
from marchproxy.contract.document.schema.database import DatabaseRouteDocument
from marchproxy.contract.document.schema.http import (
    CorsDocument,
    HeaderEditsDocument,
    MirrorDocument,
    RedirectDocument,
    ResponseDocument,
    RewriteDocument,
    StickyDocument,
)
from marchproxy.contract.document.schema.parts import Duration, Labels, short_for
from marchproxy.contract.document.schema.rtmp import RtmpRouteDocument
from marchproxy.kit.settings import Section
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import HeaderKind, PathKind, Route

_ROUTE = Route(route_id="")  # type: ignore[arg-type]


class PathDocument(Section):
    """`path` of a route: one of the four; a plain text is a prefix."""

    prefix: str | None = None
    exact: str | None = None
    regex: str | None = None
    template: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if len(self.model_fields_set) != 1 or self.given()[1] is None:
            raise ValueError("give exactly one of prefix, exact, regex and template")
        return self

    def given(self) -> tuple[PathKind, str | None]:
        """Return the key that was given, and its value."""
        (key,) = self.model_fields_set
        return PathKind(key), getattr(self, key)


class HeaderDocument(Section):
    """One of a route's `headers`: a name and one condition."""

    name: str
    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None
    present: bool | None = None
    invert: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if len(self._conditions()) != 1:
            raise ValueError("give exactly one of exact, prefix, regex and present")
        return self

    def given(self) -> tuple[HeaderKind, str | bool]:
        """Return the condition that was given, and its value."""
        ((kind, value),) = self._conditions()
        return kind, value

    def _conditions(self) -> list[tuple[HeaderKind, str | bool]]:
        values = ((kind, getattr(self, kind.value)) for kind in HeaderKind)
        return [(kind, value) for kind, value in values if value is not None]


class QueryDocument(Section):
    """One of a route's `query`: a parameter's name and one condition."""

    name: str
    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None
    present: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if len(self._conditions()) != 1:
            raise ValueError("give exactly one of exact, prefix, regex and present")
        return self

    def given(self) -> tuple[HeaderKind, str]:
        """Return the condition that was given, and its value."""
        ((kind, value),) = self._conditions()
        return kind, value if isinstance(value, str) else ""

    def _conditions(self) -> list[tuple[HeaderKind, str | bool]]:
        values = ((kind, getattr(self, kind.value)) for kind in HeaderKind)
        return [(kind, value) for kind, value in values if value is not None]


class RetryDocument(Section):
    """`retry` of a route."""

    attempts: int = _ROUTE.retry.attempts
    on: tuple[str, ...] = _ROUTE.retry.on
    per_try_timeout: Duration = _ROUTE.retry.per_try_timeout


class BackendDocument(Section):
    """One of a route's `backends`; a plain text is the pool's name."""

    pool: str
    weight: int = 100


class RouteDocument(Section):
    """One of `routes`."""

    id: str
    hosts: tuple[str, ...] = ()
    path: Annotated[PathDocument, short_for("prefix")] = PathDocument(prefix=_ROUTE.match.path.value)
    methods: tuple[str, ...] = ()
    headers: tuple[HeaderDocument, ...] = ()
    query: tuple[QueryDocument, ...] = ()
    sources: tuple[str, ...] = ()
    source_port: int = _ROUTE.source_port
    destination_port: int = _ROUTE.destination_port
    priority: int = _ROUTE.priority
    protocol: Protocol = _ROUTE.protocol
    module: ModuleType | None = _ROUTE.module_type
    listeners: tuple[str, ...] = ()
    backends: tuple[Annotated[BackendDocument, short_for("pool")], ...] = ()
    redirect: RedirectDocument | None = None
    response: ResponseDocument | None = None
    timeout: Duration = _ROUTE.timeout
    idle_timeout: Duration = _ROUTE.idle_timeout
    retry: RetryDocument = RetryDocument()
    rewrite: RewriteDocument | None = None
    request_headers: HeaderEditsDocument | None = None
    response_headers: HeaderEditsDocument | None = None
    mirrors: tuple[Annotated[MirrorDocument, short_for("pool")], ...] = ()
    cors: CorsDocument | None = None
    sticky: StickyDocument | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_request_bytes: int = _ROUTE.max_request_bytes
    compression: bool = _ROUTE.compression
    authentication: tuple[str, ...] = ()
    upgrades: tuple[str, ...] = _ROUTE.upgrades
    database: DatabaseRouteDocument | None = None
    ai: AiRouteDocument | None = None
    rtmp: RtmpRouteDocument | None = None
    metadata: Labels = Field(default_factory=dict)
