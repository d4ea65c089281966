"""Routes: what a request must look like, and the backend pools that answer it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from marchproxy.model.ai import AiRoute
from marchproxy.model.database import DatabaseRoute
from marchproxy.model.http import Cors, DirectResponse, HeaderEdits, Mirror, Redirect, Rewrite, Sticky
from marchproxy.model.module import ModuleType, PoolName, Protocol, Version
from marchproxy.model.rtmp import STREAMING_PROTOCOLS, RtmpRoute

RouteId = NewType("RouteId", str)


class PathKind(Enum):
    """How a path is compared. PREFIX is path-separated: `/api` matches `/api` and `/api/x`, not `/apix`.

    TEMPLATE has `*` or `{name}` for one segment, `**` or `{name=**}` for the rest: `/users/{id}/files/{path=**}`.
    """

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A path to match, without its query string. A regex must match the whole path (RE2 syntax)."""

    kind: PathKind = PathKind.PREFIX
    value: str = "/"

    def __str__(self) -> str:
        return f"{self.kind.value} {self.value}"


class HeaderKind(Enum):
    """How a header's value is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """One header to match; `name` is compared without regard to case, `value` with. `invert` negates the result."""

    name: str
    kind: HeaderKind = HeaderKind.EXACT
    value: str = ""
    invert: bool = False


@dataclass(frozen=True, slots=True)
class QueryMatch:
    """One parameter of the query string to match, in the first place where it stands; not decoded."""

    name: str
    kind: HeaderKind = HeaderKind.EXACT
    value: str = ""


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All parts must match. No hosts: any host. No methods: any method. Hosts are exact, or `*.example.com`."""

    hosts: tuple[str, ...] = ()
    path: PathMatch = PathMatch()
    methods: tuple[str, ...] = ()
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendRef:
    """A backend pool's share of a route, in percent (0 to 100); the shares of a route add up to 100."""

    pool: PoolName
    weight: int = 100


#: What may be retried, in the field's words; see docs/configuration.md for each one's meaning.
RETRY_CONDITIONS = frozenset(
    {
        "connect_failure",
        "refused_stream",
        "reset_before_request",
        "reset",
        "gateway_error",
        "5xx",
        "retriable_4xx",
    }
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retries of one request, on another endpoint where there is one. `per_try_timeout` in seconds, 0: none.

    The default conditions are safe for every method: the backend cannot have seen the request. `reset`,
    `gateway_error` and `5xx` may send a request twice.
    """

    attempts: int = 2
    on: tuple[str, ...] = ("connect_failure", "refused_stream", "reset_before_request")
    per_try_timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `timeout` (whole response) and `idle_timeout` (silence on a stream) in seconds, 0: none.

    A route forwards to `backends`, or answers by `redirect` or `response`: exactly one of the three.
    `allow` and `deny` are client CIDRs that are answered 403 (`deny` goes before `allow`, an empty `allow` allows
    everyone), while `sources` decide whether the route matches at all. `max_request_bytes` 0: no limit; more is answered
    413. `authentication` names the ways of which one must succeed; none: everyone. `compression`: answers are compressed
    as the client accepts it (brotli, gzip). `upgrades`: protocols that a request may upgrade to.
    `database`: what a route of a database protocol has beside; None: as by default. `ai`: its requests are for language
    models, and the pools are found by the model; None: they are not. `rtmp`: what a route of streams has beside; None: as by
    default.

    Among the routes that match, the highest `priority` wins; see `marchproxy.model.matching` for ties.
    `listeners` names the NLB listeners it belongs to (none: all of its protocol); `sources` are client CIDRs.
    """

    route_id: RouteId
    match: RouteMatch = RouteMatch()
    backends: tuple[BackendRef, ...] = ()
    priority: int = 0
    protocol: Protocol = Protocol.HTTP
    module_type: ModuleType | None = None
    timeout: float = 15.0
    idle_timeout: float = 300.0
    retry: RetryPolicy = RetryPolicy()
    listeners: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    source_port: int = 0
    destination_port: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    rewrite: Rewrite | None = None
    redirect: Redirect | None = None
    response: DirectResponse | None = None
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    sticky: Sticky | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_request_bytes: int = 0
    compression: bool = False
    authentication: tuple[str, ...] = ()
    upgrades: tuple[str, ...] = ("websocket",)
    database: DatabaseRoute | None = None
    ai: AiRoute | None = None
    rtmp: RtmpRoute | None = None

    @property
    def answering(self) -> tuple[PoolName, ...]:
        """The pools that may answer: its backends, and the targets of its models; each once, as they are written."""
        backends = [backend.pool for backend in self.backends]
        if self.ai is None:
            return tuple(dict.fromkeys(backends))
        targets = (target.pool for model in self.ai.models for target in model.targets)
        return tuple(dict.fromkeys((*backends, *targets)))

    @property
    def pools(self) -> frozenset[PoolName]:
        """All pools that it needs: those that answer, and those that get copies."""
        if self.ai is None and not self.mirrors:  # as most of thousands
            return frozenset([backend.pool for backend in self.backends])
        return frozenset((*self.answering, *(mirror.pool for mirror in self.mirrors)))

    @property
    def only_for(self) -> ModuleType | None:
        """The only kind of module that serves it: the one that it names, of language models an AILB, of streams RTMP; None:
        any that can.
        """
        if self.module_type is not None:
            return self.module_type
        if self.protocol is Protocol.HTTP:  # as most of thousands
            return None if self.ai is None else ModuleType.AILB
        if self.protocol in STREAMING_PROTOCOLS:
            return ModuleType.RTMP
        return None if self.ai is None else ModuleType.AILB


@dataclass(frozen=True, slots=True)
class VersionWeight:
    """The share of one version, in percent."""

    version: Version
    weight: int
