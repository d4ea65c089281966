"""HTTP: what a route may do with a request beside choosing who answers it. Frozen values; no I/O."""

from dataclasses import dataclass
from enum import Enum

from marchproxy.model.module import PoolName


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Edits of headers, in this order: `remove`, `set` (replaces), `add` (appends). Values are literal text."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What the backend is asked for in place of what the client asked for; an empty part stays as it is.

    `path` replaces what the route's path matched: the prefix of a prefix match, the whole path of an exact or template
    one (a template may use the names of the match, `/v2/{id}`), and with `pattern` (RE2, at any place) each match of it,
    where `\\1` is its first group. The query string stays.
    """

    host: str = ""
    path: str = ""
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that sends the client elsewhere; an empty part stays as it is. `code`: 301, 302, 303, 307 or 308.

    `path` replaces the whole path, `prefix` what a prefix match matched; at most one of them. `port` 0 stays.
    """

    scheme: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    prefix: str = ""
    strip_query: bool = False
    code: int = 308


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """An answer that no backend gives. `body` of at most 4,096 bytes of UTF-8."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A share of the requests (percent, 0 to 100) that is sent to another pool as well; its answers are thrown away."""

    pool: PoolName
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Cors:
    """Cross-origin resource sharing. `origins` are exact, `*`, or `https://*.example.com`; `max_age` in seconds.

    https://fetch.spec.whatwg.org/#http-cors-protocol
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ("GET", "HEAD", "POST")
    headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 86400


class StickyKind(Enum):
    """What a session is known by."""

    COOKIE = "cookie"
    HEADER = "header"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Sticky:
    """Requests of one session go to one endpoint as long as it is healthy.

    COOKIE: the answer sets a cookie `name` for `ttl` seconds (0: until the browser ends) that names the endpoint.
    HEADER and SOURCE: by a consistent hash, so that an endpoint that goes moves only its own sessions.
    """

    kind: StickyKind
    name: str = ""
    ttl: float = 0.0


class AuthenticationKind(Enum):
    """How a client shows who it is."""

    BASIC = "basic"
    API_KEY = "api_key"
    JWT = "jwt"
    USERLIST = "userlist"
    AUTH_QUERY = "auth_query"
    CERTIFICATE = "certificate"
    STREAM_KEYS = "stream_keys"
    SIGNED = "signed"
    CALLBACK = "callback"

    @property
    def of_http(self) -> bool:
        """Whether it is for routes of HTTP, and for no others."""
        return self in {AuthenticationKind.BASIC, AuthenticationKind.API_KEY, AuthenticationKind.JWT}

    @property
    def of_streams(self) -> bool:
        """Whether it is for publishers and players of streams, and for nobody else."""
        return self in {
            AuthenticationKind.STREAM_KEYS,
            AuthenticationKind.SIGNED,
            AuthenticationKind.CALLBACK,
        }


@dataclass(frozen=True, slots=True)
class Authentication:
    """A way to authenticate that routes name. Secrets are given as files, which are read again on reload.

    BASIC: `file` is an htpasswd file with SHA-1 (`{SHA}`) entries. API_KEY: `file` has `name:key` lines; a key comes in
    the header `header`. JWT: `file` is a JWKS, or `jwks_url` with `jwks_pool`, the pool that the URL's host is, fetched
    again every `jwks_refresh` seconds; `issuer` and `audiences` must fit. The client's name goes to the backend in the header `forward_header`, empty: it does not.

    For routes of databases: USERLIST: `file` has lines `"user" "secret"`, the secret a password or what the
    protocol makes of one (`SCRAM-SHA-256$…`, `md5…`, `*HEX`). AUTH_QUERY (PostgreSQL): `query` is asked, with the user's
    name as `$1`, of the primary of `pool` as its `monitor`, and answers a name and a secret. CERTIFICATE: the client's
    certificate is for the user's name. `method`: how a password is asked for, empty: the protocol's safest.

    For streams, by the query of app or stream name (of HLS and DASH: of the URL): STREAM_KEYS: `file` has lines `PATTERN:KEY`
    with a pattern of `app/stream`, and the key comes as `key`. SIGNED: `file` has the secret, and `signature` is the HMAC-SHA256
    by it, in hexadecimal digits, of `ACTION\\nVHOST/APP/STREAM\\nEXPIRES` (publish or play, the key or `*` as STREAM for any of
    the app, and what comes as `expires`, Unix seconds). CALLBACK: `url` is sent what is asked as JSON and allows it by 2xx,
    within `timeout` seconds.
    """

    name: str
    kind: AuthenticationKind
    file: str = ""
    header: str = "x-api-key"
    issuer: str = ""
    audiences: tuple[str, ...] = ()
    jwks_url: str = ""
    jwks_pool: str = ""
    forward_header: str = ""
    jwks_refresh: float = 300.0
    method: str = ""
    query: str = ""
    pool: str = ""
    url: str = ""
    timeout: float = 2.0
