"""Routes. Where a part has the same fields on both sides, it is taken over as it is."""

from dataclasses import asdict

from marchproxy.contract.document.convert.ai import ai_route, ai_route_document
from marchproxy.contract.document.convert.database import database_route, database_route_document
from marchproxy.contract.document.convert.http import header_edits, header_edits_document
from marchproxy.contract.document.convert.rtmp import rtmp_route, rtmp_route_document
from marchproxy.contract.document.schema.http import (
    CorsDocument,
    MirrorDocument,
    RedirectDocument,
    ResponseDocument,
    RewriteDocument,
    StickyDocument,
)
from marchproxy.contract.document.schema.route import (
    BackendDocument,
    HeaderDocument,
    PathDocument,
    QueryDocument,
    RetryDocument,
    RouteDocument,
)
from marchproxy.model.http import Cors, DirectResponse, Mirror, Redirect, Rewrite, Sticky
from marchproxy.model.module import PoolName
from marchproxy.model.route import (
    BackendRef,
    HeaderKind,
    HeaderMatch,
    PathMatch,
    QueryMatch,
    RetryPolicy,
    Route,
    RouteId,
    RouteMatch,
)


def route(item: RouteDocument) -> Route:
    """The route."""
    kind, path = item.path.given()
    return Route(
        route_id=RouteId(item.id),
        match=RouteMatch(
            hosts=item.hosts,
            path=PathMatch(kind, path or ""),
            methods=item.methods,
            headers=tuple(_header(header) for header in item.headers),
            query=tuple(QueryMatch(parameter.name, *parameter.given()) for parameter in item.query),
        ),
        backends=tuple(BackendRef(PoolName(backend.pool), backend.weight) for backend in item.backends),
        priority=item.priority,
        protocol=item.protocol,
        module_type=item.module,
        timeout=item.timeout,
        idle_timeout=item.idle_timeout,
        retry=RetryPolicy(item.retry.attempts, item.retry.on, item.retry.per_try_timeout),
        listeners=item.listeners,
        sources=item.sources,
        source_port=item.source_port,
        destination_port=item.destination_port,
        rewrite=None if item.rewrite is None else Rewrite(**dict(item.rewrite)),
        redirect=None if item.redirect is None else Redirect(**dict(item.redirect)),
        response=None if item.response is None else DirectResponse(**dict(item.response)),
        request_headers=header_edits(item.request_headers),
        response_headers=header_edits(item.response_headers),
        mirrors=tuple(Mirror(PoolName(mirror.pool), mirror.percent) for mirror in item.mirrors),
        cors=None if item.cors is None else Cors(**dict(item.cors)),
        sticky=None if item.sticky is None else Sticky(**dict(item.sticky)),
        allow=item.allow,
        deny=item.deny,
        max_request_bytes=item.max_request_bytes,
        compression=item.compression,
        authentication=item.authentication,
        upgrades=item.upgrades,
        database=database_route(item.database),
        ai=ai_route(item.ai),
        rtmp=rtmp_route(item.rtmp),
        metadata=dict(item.metadata),
    )


def route_document(item: Route) -> RouteDocument:
    """The document of a route."""
    path = item.match.path
    retry = item.retry
    return RouteDocument(
        id=item.route_id,
        hosts=item.match.hosts,
        path=PathDocument.model_validate({path.kind.value: path.value}),
        methods=item.match.methods,
        headers=tuple(_header_document(header) for header in item.match.headers),
        query=tuple(_query_document(parameter) for parameter in item.match.query),
        sources=item.sources,
        source_port=item.source_port,
        destination_port=item.destination_port,
        priority=item.priority,
        protocol=item.protocol,
        module=item.module_type,
        listeners=item.listeners,
        backends=tuple(BackendDocument(pool=ref.pool, weight=ref.weight) for ref in item.backends),
        timeout=item.timeout,
        idle_timeout=item.idle_timeout,
        retry=RetryDocument(attempts=retry.attempts, on=retry.on, per_try_timeout=retry.per_try_timeout),
        rewrite=None if item.rewrite is None else RewriteDocument(**asdict(item.rewrite)),
        redirect=None if item.redirect is None else RedirectDocument(**asdict(item.redirect)),
        response=None if item.response is None else ResponseDocument(**asdict(item.response)),
        request_headers=header_edits_document(item.request_headers),
        response_headers=header_edits_document(item.response_headers),
        mirrors=tuple(MirrorDocument(**asdict(mirror)) for mirror in item.mirrors),
        cors=None if item.cors is None else CorsDocument(**asdict(item.cors)),
        sticky=None if item.sticky is None else StickyDocument(**asdict(item.sticky)),
        allow=item.allow,
        deny=item.deny,
        max_request_bytes=item.max_request_bytes,
        compression=item.compression,
        authentication=item.authentication,
        upgrades=item.upgrades,
        database=database_route_document(item.database),
        ai=ai_route_document(item.ai),
        rtmp=rtmp_route_document(item.rtmp),
        metadata=dict(item.metadata),
    )


def _header(item: HeaderDocument) -> HeaderMatch:
    kind, value = item.given()
    if isinstance(value, bool):  # `present: false` is the inverse of `present: true`
        return HeaderMatch(item.name, kind, "", invert=item.invert == value)
    return HeaderMatch(item.name, kind, value, item.invert)


def _header_document(item: HeaderMatch) -> HeaderDocument:
    value = True if item.kind is HeaderKind.PRESENT else item.value
    return HeaderDocument.model_validate({"name": item.name, item.kind.value: value, "invert": item.invert})


def _query_document(item: QueryMatch) -> QueryDocument:
    value = True if item.kind is HeaderKind.PRESENT else item.value
    return QueryDocument.model_validate({"name": item.name, item.kind.value: value})
