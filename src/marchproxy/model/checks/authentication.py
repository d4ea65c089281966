"""Checks of the ways to authenticate, and of the routes that name them."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from marchproxy.model.checks.headers import check_header_name
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rules import check_file, check_name, duplicates, known

_SOONEST, _LATEST = 1, 24 * 3600
_PLAIN = Authentication("", AuthenticationKind.BASIC)
#: What only one kind has.
_OWN = {
    "header": AuthenticationKind.API_KEY,
    "issuer": AuthenticationKind.JWT,
    "audiences": AuthenticationKind.JWT,
    "jwks_url": AuthenticationKind.JWT,
    "jwks_pool": AuthenticationKind.JWT,
    "jwks_refresh": AuthenticationKind.JWT,
}


def check_authentication(
    ways: Sequence[Authentication], routes: Sequence[Route], pools: Sequence[BackendPool]
) -> Iterator[Problem]:
    """Faults of the ways to authenticate, and names of them in routes that lead nowhere."""
    yield from duplicates("authentication", "name", ways, lambda way: way.name)
    pool_names = frozenset(str(pool.name) for pool in pools)
    for index, way in enumerate(ways):
        yield from _check_way(way, f"authentication[{index}]", pool_names)
    names = frozenset(way.name for way in ways)
    for index, route in enumerate(routes):
        for number, name in enumerate(route.authentication):
            where = f"routes[{index}].authentication[{number}]"
            if name not in names:
                yield Problem(where, f'no authentication "{name}"{known(names)}')
            elif name in route.authentication[:number]:
                yield Problem(where, f'"{name}" stands there twice')


def _check_way(way: Authentication, path: str, pool_names: frozenset[str]) -> Iterator[Problem]:
    yield from check_name(way.name, f"{path}.name")
    for key, kind in _OWN.items():
        if way.kind is not kind and getattr(way, key) != getattr(_PLAIN, key):
            yield Problem(f"{path}.{key}", f"is for {kind.value}, not for {way.kind.value}")
    if way.kind is AuthenticationKind.JWT:
        yield from _check_keys(way, path, pool_names)
    else:
        yield from check_file(way.file, f"{path}.file")
    if way.kind is AuthenticationKind.API_KEY:
        yield from check_header_name(way.header, f"{path}.header")
    if way.forward_header:
        yield from check_header_name(way.forward_header, f"{path}.forward_header")


def _check_keys(way: Authentication, path: str, pool_names: frozenset[str]) -> Iterator[Problem]:
    """Where the keys come from that tokens are signed with."""
    if bool(way.file) == bool(way.jwks_url):
        yield Problem(path, "give either file or jwks_url: where the keys are that sign tokens")
    if way.file:
        yield from check_file(way.file, f"{path}.file")
    if way.jwks_url:
        if not _is_url(way.jwks_url):
            yield Problem(
                f"{path}.jwks_url", f'"{way.jwks_url}" is not a URL such as https://id.example/keys'
            )
        if way.jwks_pool not in pool_names:
            yield Problem(f"{path}.jwks_pool", f'no pool "{way.jwks_pool}"{known(pool_names)}')
        if not _SOONEST <= way.jwks_refresh <= _LATEST:
            yield Problem(
                f"{path}.jwks_refresh", f"{way.jwks_refresh:g} s is not between {_SOONEST} s and {_LATEST} s"
            )
    elif way.jwks_pool:
        yield Problem(f"{path}.jwks_pool", "goes with jwks_url, which is not set")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
