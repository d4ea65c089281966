"""What a route may do with a request beside choosing who answers it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from marchproxy.contract.document.schema.parts import Duration, Number, WholeSeconds
from marchproxy.kit.settings import Section
from marchproxy.model.http import (
    Authentication,
    AuthenticationKind,
    Cors,
    DirectResponse,
    Mirror,
    Redirect,
    Rewrite,
    Sticky,
    StickyKind,
)

_REWRITE = Rewrite()
_REDIRECT = Redirect()
_RESPONSE = DirectResponse(200)
_MIRROR = Mirror(pool="")  # type: ignore[arg-type]
_CORS = Cors(())
_STICKY = Sticky(StickyKind.SOURCE)
_AUTHENTICATION = Authentication("", AuthenticationKind.BASIC)

Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda value: (value,) if isinstance(value, str) else value,
        json_schema_input_type=tuple[str, ...] | str,
    ),
]


class HeaderEditsDocument(Section):
    """`request_headers` and `response_headers` of a route; a name that is added may have several values."""

    set: dict[str, str] = Field(default_factory=dict)
    add: dict[str, Texts] = Field(default_factory=dict)
    remove: tuple[str, ...] = ()


class RewriteDocument(Section):
    """`rewrite` of a route."""

    host: str = _REWRITE.host
    path: str = _REWRITE.path
    pattern: str = _REWRITE.pattern


class RedirectDocument(Section):
    """`redirect` of a route."""

    scheme: str = _REDIRECT.scheme
    host: str = _REDIRECT.host
    port: int = _REDIRECT.port
    path: str = _REDIRECT.path
    prefix: str = _REDIRECT.prefix
    strip_query: bool = _REDIRECT.strip_query
    code: int = _REDIRECT.code


class ResponseDocument(Section):
    """`response` of a route."""

    status: int
    body: str = _RESPONSE.body
    content_type: str = _RESPONSE.content_type


class MirrorDocument(Section):
    """One of a route's `mirrors`; a plain text is the pool's name."""

    pool: str
    percent: Number = _MIRROR.percent


class CorsDocument(Section):
    """`cors` of a route."""

    origins: tuple[str, ...]
    methods: tuple[str, ...] = _CORS.methods
    headers: tuple[str, ...] = _CORS.headers
    expose_headers: tuple[str, ...] = _CORS.expose_headers
    credentials: bool = _CORS.credentials
    max_age: WholeSeconds = _CORS.max_age


class StickyDocument(Section):
    """`sticky` of a route."""

    kind: StickyKind
    name: str = _STICKY.name
    ttl: Duration = _STICKY.ttl


class AuthenticationDocument(Section):
    """One of `authentication`."""

    name: str
    kind: AuthenticationKind
    file: str = _AUTHENTICATION.file
    header: str = _AUTHENTICATION.header
    issuer: str = _AUTHENTICATION.issuer
    audiences: tuple[str, ...] = _AUTHENTICATION.audiences
    jwks_url: str = _AUTHENTICATION.jwks_url
    jwks_pool: str = _AUTHENTICATION.jwks_pool
    jwks_refresh: Duration = _AUTHENTICATION.jwks_refresh
    forward_header: str = _AUTHENTICATION.forward_header
    method: str = _AUTHENTICATION.method
    query: str = _AUTHENTICATION.query
    pool: str = _AUTHENTICATION.pool
    url: str = _AUTHENTICATION.url
    timeout: Duration = _AUTHENTICATION.timeout
