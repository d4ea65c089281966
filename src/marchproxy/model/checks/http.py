"""Checks of what a route does with a request beside choosing who answers it."""

from collections.abc import Iterator
from itertools import chain

from marchproxy.model.checks.headers import check_content_type, check_edits, is_token
from marchproxy.model.checks.mirrors import check_mirrors
from marchproxy.model.checks.paths import check_redirect_path, check_rewrite_path
from marchproxy.model.http import Cors, DirectResponse, Redirect, Rewrite, Sticky, StickyKind
from marchproxy.model.module import HTTP_FAMILY, Protocol
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rules import (
    HOST,
    check_address,
    check_count,
    check_duration,
    check_networks,
)

REDIRECT_CODES = (301, 302, 303, 307, 308)
_LONGEST_BODY = 4096
_BODILESS = {204, 205, 304}  # RFC 9110, section 6.4.1
_HTTP = HTTP_FAMILY | {Protocol.HTTPS, Protocol.HTTP3}
_NOT_FORWARDED = {
    "connect": "CONNECT is refused: it would open a way to any address",
    "h2c": "an upgrade to h2c would carry requests past the routes (h2c smuggling)",
}
_PLAIN = Route(RouteId(""))
#: What only a route that forwards can do.
_OF_FORWARDING = ("rewrite", "mirrors", "sticky")
_OF_HTTP = (
    *("redirect", "response", *_OF_FORWARDING, "request_headers", "response_headers", "cors"),
    *("allow", "deny", "max_request_bytes", "compression", "authentication", "upgrades", "ai"),
)


def check_http(route: Route, path: str, pool_names: frozenset[str]) -> Iterator[Problem]:
    """Faults of one route's features; that its authentication is there is `check_authentication`'s to say."""
    if route.protocol not in _HTTP:
        keys = [key for key in _OF_HTTP if getattr(route, key) != getattr(_PLAIN, key)]
        for key in (*keys, *(["query"] if route.match.query else [])):
            yield Problem(f"{path}.{key}", f"is for HTTP; {route.protocol.value} has no such thing")
        return
    yield from _check_answer(route, path)
    yield from check_edits(route.request_headers, f"{path}.request_headers")
    yield from check_edits(route.response_headers, f"{path}.response_headers")
    yield from check_mirrors(route, f"{path}.mirrors", pool_names)
    if route.cors is not None:
        yield from _check_cors(route.cors, f"{path}.cors")
    if route.sticky is not None:
        yield from _check_sticky(route.sticky, f"{path}.sticky")
    yield from check_networks(route.allow, f"{path}.allow")
    yield from check_networks(route.deny, f"{path}.deny")
    yield from check_count(route.max_request_bytes, f"{path}.max_request_bytes", most=2**32 - 1)
    yield from _check_upgrades(route, f"{path}.upgrades")


def _check_answer(route: Route, path: str) -> Iterator[Problem]:
    """Who answers: the backends, a redirect or a response of our own."""
    answers = [key for key in ("backends", "redirect", "response") if getattr(route, key)]
    for key in answers[1:]:
        yield Problem(f"{path}.{key}", f"a route has one answer, and {answers[0]} is given already")
    if answers and "backends" not in answers:
        for key in _OF_FORWARDING:
            if getattr(route, key):
                yield Problem(f"{path}.{key}", f"goes with backends; {answers[0]} does not ask any")
    if route.rewrite is not None:
        yield from _check_rewrite(route.rewrite, route, f"{path}.rewrite")
    if route.redirect is not None:
        yield from _check_redirect(route.redirect, route, f"{path}.redirect")
    if route.response is not None:
        yield from _check_response(route.response, f"{path}.response")


def _check_rewrite(rewrite: Rewrite, route: Route, path: str) -> Iterator[Problem]:
    if rewrite == Rewrite():
        yield Problem(path, "changes nothing; give host or path")
    if ":" in rewrite.host:
        yield from check_address(rewrite.host, f"{path}.host")
    elif rewrite.host:
        yield from _check_host(rewrite.host, f"{path}.host")
    yield from check_rewrite_path(rewrite, route.match.path, path)


def _check_redirect(redirect: Redirect, route: Route, path: str) -> Iterator[Problem]:
    if not any((redirect.scheme, redirect.host, redirect.port, redirect.path, redirect.prefix)):
        yield Problem(path, "leads back to the same place; give scheme, host, port, path or prefix")
    if redirect.code not in REDIRECT_CODES:
        yield Problem(f"{path}.code", f"{redirect.code} is not one of {', '.join(map(str, REDIRECT_CODES))}")
    if redirect.scheme not in {"", "http", "https"}:
        yield Problem(f"{path}.scheme", f'"{redirect.scheme}" is neither http nor https')
    if redirect.host:
        yield from _check_host(redirect.host, f"{path}.host")
    yield from check_count(redirect.port, f"{path}.port", most=65535)
    yield from check_redirect_path(redirect, route.match.path, path)


def _check_host(host: str, path: str) -> Iterator[Problem]:
    if not HOST.fullmatch(host) or host.startswith("*"):
        yield Problem(path, f'"{host}" is not a host name')


def _check_response(response: DirectResponse, path: str) -> Iterator[Problem]:
    if not 200 <= response.status <= 599:
        yield Problem(f"{path}.status", f"{response.status} is not between 200 and 599")
    size = len(response.body.encode())
    if size > _LONGEST_BODY:
        yield Problem(f"{path}.body", f"{size} bytes are more than {_LONGEST_BODY}")
    if response.body and response.status in _BODILESS:
        yield Problem(f"{path}.body", f"an answer of {response.status} has none")
    yield from check_content_type(response.content_type, f"{path}.content_type")


def _check_cors(cors: Cors, path: str) -> Iterator[Problem]:
    if not cors.origins:
        yield Problem(f"{path}.origins", 'names nobody; "*" is everybody')
    for number, origin in enumerate(cors.origins):
        if origin == "*" and cors.credentials:
            yield Problem(
                f"{path}.origins[{number}]", "any site could use its visitors' credentials; name the origins"
            )
        else:
            yield from check_origin(origin, f"{path}.origins[{number}]")
    if not cors.methods:
        yield Problem(f"{path}.methods", "allows no method; leave cors out")
    named = (("methods", cors.methods), ("headers", cors.headers), ("expose_headers", cors.expose_headers))
    for key, number, word in chain.from_iterable(
        ((key, number, word) for number, word in enumerate(words)) for key, words in named
    ):
        if not is_token(word):
            yield Problem(f"{path}.{key}[{number}]", f'"{word}" is not a name')
    yield from check_count(cors.max_age, f"{path}.max_age")


def check_origin(origin: str, path: str) -> Iterator[Problem]:
    """Faults of one of the origins whose scripts may ask."""
    if origin != "*" and not _is_origin(origin):
        yield Problem(
            path, f'"{origin}" is not an origin such as https://app.example, https://*.example or "*"'
        )


def _is_origin(origin: str) -> bool:
    """Scheme, host and perhaps port, as a browser sends it: no path, not even a slash."""
    scheme, found, rest = origin.partition("://")
    host, colon, port = rest.partition(":")
    return (
        found != ""
        and scheme in {"http", "https"}
        and host != "*"
        and HOST.fullmatch(host) is not None
        and (not colon or (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535))
    )


def _check_sticky(sticky: Sticky, path: str) -> Iterator[Problem]:
    word = sticky.kind.value
    if sticky.kind is StickyKind.SOURCE:
        if sticky.name:
            yield Problem(f"{path}.name", "a source has none; its address is what counts")
    elif not is_token(sticky.name):
        yield Problem(f"{path}.name", f'"{sticky.name}" is not the name of a {word}')
    if sticky.kind is StickyKind.COOKIE:
        yield from check_duration(sticky.ttl, f"{path}.ttl")
    elif sticky.ttl:
        yield Problem(f"{path}.ttl", f"is for cookies; a {word} is the client's own")


def _check_upgrades(route: Route, path: str) -> Iterator[Problem]:
    for number, protocol in enumerate(route.upgrades):
        where = f"{path}[{number}]"
        if protocol in _NOT_FORWARDED:
            yield Problem(where, _NOT_FORWARDED[protocol])
        elif not is_token(protocol) or protocol != protocol.lower():
            yield Problem(where, f'"{protocol}" is not a protocol in lower case, such as websocket')
        elif protocol in route.upgrades[:number]:
            yield Problem(where, f'"{protocol}" stands there twice')
