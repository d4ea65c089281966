"""Checks of the ways to authenticate, and of the routes that name them."""

from collections.abc import Iterator, Mapping, Sequence

from marchproxy.model.checks.headers import check_header_name
from marchproxy.model.checks.protocols import in_words
from marchproxy.model.database import DATABASE_PROTOCOLS, DatabasePool
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rules import check_file, check_name, duplicates, is_url, known

_SOONEST, _LATEST = 1, 24 * 3600
_PLAIN = Authentication("", AuthenticationKind.BASIC)
_OF_HTTP = tuple(kind for kind in AuthenticationKind if kind.of_http)
_WITH_FILE = (
    AuthenticationKind.BASIC,
    AuthenticationKind.API_KEY,
    AuthenticationKind.USERLIST,
    AuthenticationKind.STREAM_KEYS,
    AuthenticationKind.SIGNED,
)
_LONGEST_TIMEOUT = 30.0
#: Where clients of OpenAI's API, and of Anthropic's, show their keys.
_OF_VIRTUAL_KEYS = frozenset({"authorization", "x-api-key"})
#: What only some kinds have.
_OWN: Mapping[str, tuple[AuthenticationKind, ...]] = {
    "file": (*_WITH_FILE, AuthenticationKind.JWT),
    "header": (AuthenticationKind.API_KEY,),
    "issuer": (AuthenticationKind.JWT,),
    "audiences": (AuthenticationKind.JWT,),
    "jwks_url": (AuthenticationKind.JWT,),
    "jwks_pool": (AuthenticationKind.JWT,),
    "jwks_refresh": (AuthenticationKind.JWT,),
    "forward_header": _OF_HTTP,
    "method": (AuthenticationKind.USERLIST, AuthenticationKind.AUTH_QUERY),
    "query": (AuthenticationKind.AUTH_QUERY,),
    "pool": (AuthenticationKind.AUTH_QUERY,),
    "url": (AuthenticationKind.CALLBACK,),
    "timeout": (AuthenticationKind.CALLBACK,),
}
#: Of which routes the kinds are; all others are for HTTP.
_PROTOCOLS: Mapping[AuthenticationKind, frozenset[Protocol]] = {
    AuthenticationKind.USERLIST: DATABASE_PROTOCOLS,
    AuthenticationKind.AUTH_QUERY: frozenset({Protocol.POSTGRES}),
    AuthenticationKind.CERTIFICATE: DATABASE_PROTOCOLS,
    **{kind: frozenset({Protocol.RTMP}) for kind in AuthenticationKind if kind.of_streams},
}
_METHODS: Mapping[str, Protocol] = {
    "scram-sha-256": Protocol.POSTGRES,
    "md5": Protocol.POSTGRES,
    "password": Protocol.POSTGRES,
    "caching_sha2_password": Protocol.MYSQL,
    "mysql_native_password": Protocol.MYSQL,
}


def check_authentication(
    ways: Sequence[Authentication], routes: Sequence[Route], pools: Sequence[BackendPool]
) -> Iterator[Problem]:
    """Faults of the ways to authenticate, and names of them in routes that lead nowhere."""
    yield from duplicates("authentication", "name", ways, lambda way: way.name)
    by_name = {str(pool.name): pool for pool in pools}
    for index, way in enumerate(ways):
        yield from _check_way(way, f"authentication[{index}]", by_name)
    known_ways = {way.name: way for way in ways}
    names = frozenset(known_ways)
    for index, route in enumerate(routes):
        for key, named in _named(route):
            for number, name in enumerate(named):
                where = f"routes[{index}].{key}[{number}]"
                if name not in names:
                    yield Problem(where, f'no authentication "{name}"{known(names)}')
                elif name in named[:number]:
                    yield Problem(where, f'"{name}" stands there twice')
                else:
                    yield from _check_fit(known_ways[name], route.protocol, where)
                    yield from _check_beside_keys(known_ways[name], route, where)


def _named(route: Route) -> Iterator[tuple[str, Sequence[str]]]:
    """Where a route names ways, and which."""
    if route.protocol is not Protocol.RTMP:
        yield "authentication", route.authentication
    elif route.rtmp is not None:
        yield "rtmp.publish", route.rtmp.publish
        yield "rtmp.play", route.rtmp.play


def _check_fit(way: Authentication, protocol: Protocol, path: str) -> Iterator[Problem]:
    """Faults of a way on a route of this protocol."""
    protocols = _PROTOCOLS.get(way.kind, frozenset())
    if protocol not in protocols and (
        protocols or protocol in DATABASE_PROTOCOLS or protocol is Protocol.RTMP
    ):
        words = in_words(protocols) if protocols else "HTTP"
        yield Problem(
            path, f'"{way.name}" is {way.kind.value}, which is for {words}, not for {protocol.value}'
        )
    elif way.method in _METHODS and protocol is not _METHODS[way.method]:
        yield Problem(path, f'"{way.name}" asks by {way.method}, which {protocol.value} does not know')


def _check_beside_keys(way: Authentication, route: Route, path: str) -> Iterator[Problem]:
    """Faults of a way that would take a virtual key for its own credential."""
    header = {AuthenticationKind.JWT: "authorization", AuthenticationKind.API_KEY: way.header.lower()}.get(
        way.kind
    )
    if route.ai is not None and header in _OF_VIRTUAL_KEYS:
        yield Problem(
            path,
            f'"{way.name}" reads {header}, where virtual keys are shown; '
            "an api_key with a header of its own can stand beside these",
        )


def _check_way(way: Authentication, path: str, pools: Mapping[str, BackendPool]) -> Iterator[Problem]:
    yield from check_name(way.name, f"{path}.name")
    for key, kinds in _OWN.items():
        if way.kind not in kinds and getattr(way, key) != getattr(_PLAIN, key):
            words = " and ".join(kind.value for kind in kinds)
            yield Problem(f"{path}.{key}", f"is for {words}, not for {way.kind.value}")
    if way.kind is AuthenticationKind.JWT:
        yield from _check_keys(way, path, frozenset(pools))
    elif way.kind is AuthenticationKind.AUTH_QUERY:
        yield from _check_query(way, path, pools)
    elif way.kind is AuthenticationKind.CALLBACK:
        yield from _check_callback(way, path)
    elif way.kind in _WITH_FILE:
        yield from check_file(way.file, f"{path}.file")
    if way.kind is AuthenticationKind.API_KEY:
        yield from check_header_name(way.header, f"{path}.header")
    if way.forward_header:
        yield from check_header_name(way.forward_header, f"{path}.forward_header")
    if way.method and way.method not in _METHODS:
        yield Problem(f"{path}.method", f'unknown method "{way.method}"{known(frozenset(_METHODS))}')


def _check_query(way: Authentication, path: str, pools: Mapping[str, BackendPool]) -> Iterator[Problem]:
    """Which database is asked for a user's secret, and what."""
    if "$1" not in way.query or "\0" in way.query:
        yield Problem(
            f"{path}.query",
            "is needed: SQL that answers the name and the secret of the user whose name is $1",
        )
    pool = pools.get(way.pool)
    if pool is None:
        yield Problem(f"{path}.pool", f'no pool "{way.pool}"{known(frozenset(pools))}')
    elif pool.protocol is not Protocol.POSTGRES:
        yield Problem(f"{path}.pool", f"{way.pool} speaks {pool.protocol.value}, not postgres")
    elif not (pool.database or DatabasePool()).monitor:
        yield Problem(
            f"{path}.pool", f"{way.pool} has no database.monitor, as whom it could be asked; set it"
        )


def _check_callback(way: Authentication, path: str) -> Iterator[Problem]:
    """Who is asked, and for how long it is waited."""
    if not is_url(way.url):
        yield Problem(f"{path}.url", f'"{way.url}" is not a URL such as https://auth.example/streams')
    if not 0 < way.timeout <= _LONGEST_TIMEOUT:
        yield Problem(
            f"{path}.timeout", f"{way.timeout:g} s is not more than 0 and at most {_LONGEST_TIMEOUT:g}"
        )


def _check_keys(way: Authentication, path: str, pool_names: frozenset[str]) -> Iterator[Problem]:
    """Where the keys come from that tokens are signed with."""
    if bool(way.file) == bool(way.jwks_url):
        yield Problem(path, "give either file or jwks_url: where the keys are that sign tokens")
    if way.file:
        yield from check_file(way.file, f"{path}.file")
    if way.jwks_url:
        if not is_url(way.jwks_url):
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
