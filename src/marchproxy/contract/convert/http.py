"""What a route does with a request beside choosing who answers it."""

from collections.abc import Iterable, Sequence

from marchproxy.contract.convert.enums import STICKY_KINDS
from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.http import (
    Cors,
    DirectResponse,
    HeaderEdits,
    Mirror,
    Redirect,
    Rewrite,
    Sticky,
    StickyKind,
)
from marchproxy.model.module import PoolName

_Pairs = Sequence[tuple[str, str]]


def edits_to_pb(edits: HeaderEdits) -> types_pb2.HeaderEdits | None:
    """The message; None for no edits."""
    if edits == HeaderEdits():
        return None
    return types_pb2.HeaderEdits(
        set=_pairs_to_pb(edits.set), add=_pairs_to_pb(edits.add), remove=edits.remove
    )


def edits_from_pb(pb: types_pb2.HeaderEdits) -> HeaderEdits:
    """The edits, in the order of the names, as the document has them; of one name the values keep their order."""
    return HeaderEdits(_read_pairs(pb.set), _read_pairs(pb.add), tuple(pb.remove))


def rewrite_to_pb(rewrite: Rewrite) -> types_pb2.Rewrite:
    """The message."""
    return types_pb2.Rewrite(host=rewrite.host, path=rewrite.path, pattern=rewrite.pattern)


def rewrite_from_pb(pb: types_pb2.Rewrite) -> Rewrite:
    """The rewrite."""
    return Rewrite(pb.host, pb.path, pb.pattern)


def redirect_to_pb(redirect: Redirect) -> types_pb2.Redirect:
    """The message."""
    return types_pb2.Redirect(
        scheme=redirect.scheme,
        host=redirect.host,
        port=redirect.port,
        path=redirect.path,
        prefix=redirect.prefix,
        strip_query=redirect.strip_query,
        code=redirect.code,
    )


def redirect_from_pb(pb: types_pb2.Redirect) -> Redirect:
    """The redirect."""
    code = pb.code or Redirect().code
    return Redirect(pb.scheme, pb.host, pb.port, pb.path, pb.prefix, pb.strip_query, code)


def response_to_pb(response: DirectResponse) -> types_pb2.DirectResponse:
    """The message."""
    return types_pb2.DirectResponse(
        status=response.status, body=response.body, content_type=response.content_type
    )


def response_from_pb(pb: types_pb2.DirectResponse) -> DirectResponse:
    """The response."""
    return DirectResponse(pb.status, pb.body, pb.content_type or DirectResponse(200).content_type)


def mirrors_to_pb(mirrors: Iterable[Mirror]) -> list[types_pb2.Mirror]:
    """The messages."""
    return [types_pb2.Mirror(pool=mirror.pool, percent=mirror.percent) for mirror in mirrors]


def mirrors_from_pb(pbs: Iterable[types_pb2.Mirror]) -> tuple[Mirror, ...]:
    """The mirrors."""
    return tuple(
        Mirror(PoolName(pb.pool), pb.percent) if pb.HasField("percent") else Mirror(PoolName(pb.pool))
        for pb in pbs
    )


def cors_to_pb(cors: Cors) -> types_pb2.Cors:
    """The message; no method at all, which allows nothing, cannot be told from the default and becomes it."""
    return types_pb2.Cors(
        origins=cors.origins,
        methods=cors.methods,
        headers=cors.headers,
        expose_headers=cors.expose_headers,
        credentials=cors.credentials,
        max_age=seconds_to_pb(cors.max_age),
    )


def read_cors(pb: types_pb2.Cors, path: str, faults: Faults) -> Cors:
    """The policy as far as it can be read."""
    default = Cors(())
    max_age = float(default.max_age)
    if pb.HasField("max_age"):
        max_age = read_seconds(pb.max_age, f"{path}.max_age", faults)
        if max_age % 1:
            faults.add(f"{path}.max_age", "is not a whole number of seconds")
    return Cors(
        origins=tuple(pb.origins),
        methods=tuple(pb.methods) or default.methods,
        headers=tuple(pb.headers),
        expose_headers=tuple(pb.expose_headers),
        credentials=pb.credentials,
        max_age=int(max_age),
    )


def sticky_to_pb(sticky: Sticky) -> types_pb2.Sticky:
    """The message."""
    return types_pb2.Sticky(
        kind=STICKY_KINDS.to_pb(sticky.kind), name=sticky.name, ttl=seconds_to_pb(sticky.ttl)
    )


def read_sticky(pb: types_pb2.Sticky, path: str, faults: Faults) -> Sticky:
    """The stickiness as far as it can be read."""
    kind = STICKY_KINDS.read(pb.kind, f"{path}.kind", faults)
    if pb.kind == types_pb2.STICKY_KIND_UNSPECIFIED:
        faults.add(f"{path}.kind", "is not given; a session is known by a cookie, a header or its source")
    return Sticky(kind or StickyKind.COOKIE, pb.name, read_seconds(pb.ttl, f"{path}.ttl", faults))


def _pairs_to_pb(pairs: _Pairs) -> list[types_pb2.HeaderValue]:
    return [types_pb2.HeaderValue(name=name, value=value) for name, value in pairs]


def _read_pairs(pbs: Iterable[types_pb2.HeaderValue]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(((pb.name, pb.value) for pb in pbs), key=lambda pair: pair[0]))
