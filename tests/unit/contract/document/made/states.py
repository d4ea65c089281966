"""Sound states, made up."""

from dataclasses import replace

from hypothesis import strategies as st

from marchproxy.model.checks import check_listeners
from marchproxy.model.checks.session_limits import Takes, taken_by
from marchproxy.model.database import (
    DATABASE_PROTOCOLS,
    REDIS_NEEDS,
    DatabaseRoute,
    ReadTarget,
)
from marchproxy.model.http import (
    Authentication,
    AuthenticationKind,
    Cors,
    DirectResponse,
    HeaderEdits,
    Mirror,
    Redirect,
    Rewrite,
    Sticky,
    StickyKind,
)
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import HTTP_FAMILY, ModuleType, Protocol
from marchproxy.model.pool import (
    BackendPool,
    BalancePolicy,
    UpstreamTls,
)
from marchproxy.model.route import (
    RETRY_CONDITIONS,
    BackendRef,
    RetryPolicy,
    Route,
    RouteMatch,
    VersionWeight,
)
from marchproxy.model.rtmp import ORIGIN_PROTOCOLS, STREAMING_PROTOCOLS
from marchproxy.model.sql import SQL_KINDS, SqlMode, SqlRule, SqlScope, SqlTrait
from marchproxy.model.state import DesiredState
from tests.unit.contract.document.made.models import AI_POOLS, GUARDRAILS, ai_options, spending
from tests.unit.contract.document.made.parts import (
    HEADERS,
    LABELS,
    NAMES,
    NETWORKS,
    PARAMETERS,
    PATHS,
    PORTS,
    SECONDS,
    TEXTS,
    distinct,
    shares,
)
from tests.unit.contract.document.made.pools import DATABASE_LIMITS, DATABASE_POOLS, LIMITS, POOLS
from tests.unit.contract.document.made.streams import ORIGIN_POOLS, STREAM_LIMITS, WAYS, stream_routes

ALPN = distinct(st.sampled_from(["h2", "http/1.1", "acme-tls/1", "x'y"]))
TLS = st.builds(TlsTermination, st.just("/c.pem"), st.just("/k é.pem"), st.sampled_from(["", "/ca"]), ALPN)
FEATURES = st.fixed_dictionaries(
    {},
    optional={
        "server_names": distinct(st.sampled_from(["a.example", "*.B.example", "c"])),
        "alpn": ALPN,
        "tls": TLS,
        "allow": NETWORKS,
        "deny": NETWORKS,
        "max_connections": st.integers(0, 2**31 - 1),
        "max_connections_per_source": st.just(0) | st.integers(0, 2**31 - 1),
        "proxy_protocol": st.booleans(),
        "trusted_proxies": NETWORKS,
        "data_plane": st.sampled_from(DataPlaneKind),
    },
)


@st.composite
def listeners(draw, name, port):
    versions = sorted(draw(shares(["v1", "v2", "v3.1"])))
    plain = Listener(
        name, draw(st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"])), port, draw(st.sampled_from(Protocol)),
        draw(st.sampled_from(ModuleType)), draw(st.sampled_from(BalancePolicy)),
        tuple(VersionWeight(version, weight) for version, weight in versions), draw(SECONDS),
    )  # fmt: skip
    special = replace(plain, **draw(FEATURES))
    return plain if any(check_listeners([special])) else special


FIELDS = st.builds("x-{}".format, NAMES)  # none that belongs to the connection
VALUES = st.sampled_from(["", "1 %", "ü"])
EDITS = st.builds(
    lambda sets, adds, remove: HeaderEdits(tuple(sorted(sets.items())), tuple(sorted(adds)), remove),
    st.dictionaries(FIELDS, VALUES, max_size=2),
    st.lists(st.tuples(st.sampled_from(["via", "x"]), VALUES), max_size=3, unique=True),
    distinct(FIELDS, max_size=2),
)
STICKY = st.builds(Sticky, st.just(StickyKind.COOKIE), NAMES, SECONDS) | st.builds(
    Sticky, st.just(StickyKind.HEADER), NAMES
)
OF_ALL = {
    "request_headers": EDITS,
    "response_headers": EDITS,
    "cors": st.builds(
        Cors, st.just(("*", "https://a.example")), st.just(("GET",)), distinct(NAMES, max_size=1), st.just(()),
        st.just(False), st.integers(0, 9),
    ),
    "allow": NETWORKS,
    "deny": NETWORKS,
    "max_request_bytes": st.integers(0, 2**32 - 1),
    "compression": st.booleans(),
    "authentication": distinct(st.sampled_from(["staff", "tokens"])),
    "upgrades": distinct(st.sampled_from(["websocket", "spdy"])),
}  # fmt: skip
ANSWERS = st.fixed_dictionaries(
    {"redirect": st.builds(Redirect, st.just("https"), st.sampled_from(["", "a"]), PORTS, st.just("/x"))}, optional=OF_ALL
) | st.fixed_dictionaries({"response": st.builds(DirectResponse, st.integers(200, 203), TEXTS)}, optional=OF_ALL)  # fmt: skip
AUTHENTICATION = (
    Authentication("staff", AuthenticationKind.BASIC, "/a é", forward_header="x-user"),
    Authentication("tokens", AuthenticationKind.JWT, "/jwks", issuer="i", audiences=("a", "b")),
    Authentication("people", AuthenticationKind.USERLIST, "/list"),
    Authentication("others", AuthenticationKind.USERLIST, "/list é"),
    *WAYS,
)


RULES = st.builds(
    SqlRule,
    NAMES,
    st.sampled_from(SqlMode),
    distinct(st.sampled_from(sorted(SQL_KINDS)), max_size=2),
    distinct(st.sampled_from(["cards", "public.*"])),
    distinct(st.just("é")),
    distinct(st.just("pg_*")),
    distinct(st.sampled_from(SqlTrait)),
    st.builds(SqlScope, distinct(st.just("A")), distinct(st.just("b")), distinct(st.just("c"))),
)


@st.composite
def http_features(draw, pool_names):
    """What a route does beside choosing who answers it, or in place of that."""
    if not pool_names or draw(st.booleans()):
        return {"backends": (), **draw(ANSWERS)}
    mirrors = distinct(
        st.builds(Mirror, st.sampled_from(pool_names), st.floats(0, 100) | st.just(-0.0)), max_size=1
    )
    forwarding = {"rewrite": st.just(Rewrite("h:1", "/x", "é")), "mirrors": mirrors, "sticky": STICKY}
    return draw(st.fixed_dictionaries({}, optional={**OF_ALL, **forwarding}))


@st.composite
def database_routes(draw, plain):
    """A route of a database, with what its protocol has."""
    protocol, names = plain.protocol, distinct(st.sampled_from(["a", "B*", "[é]?"]), max_size=2)
    pools = [ref.pool for ref in plain.backends]
    sql = protocol in {Protocol.POSTGRES, Protocol.MYSQL}
    redis = protocol is Protocol.REDIS
    numbers = distinct(st.sampled_from(["0", "1?", "[2-4]"]))
    database = draw(
        st.none()
        | st.builds(
            DatabaseRoute,
            databases=numbers if redis else names,
            users=names,
            applications=names,
            prefixes=names if redis else st.just(()),
            rename=st.sampled_from(["", "7"]),
            target=st.sampled_from([ReadTarget.AUTO, ReadTarget.PRIMARY]),
            writes=st.sampled_from(["", *pools]) if sql else st.just(""),
            switch_timeout=SECONDS,
            catch_up=SECONDS,
            hints=st.booleans(),
            firewall=distinct(RULES, max_size=2, unique_by=lambda rule: rule.id) if sql else st.just(()),
            needs=distinct(st.sampled_from(sorted(REDIS_NEEDS))) if redis else st.just(()),
        )
    )
    ways = draw(distinct(st.sampled_from(["people", "others"])))
    return replace(
        plain, database=database, authentication=ways, sources=draw(NETWORKS), destination_port=draw(PORTS)
    )


@st.composite
def ai_routes(draw, plain, pools):
    kept = {key: draw(OF_ALL[key]) for key in ("cors", "allow", "response_headers")}
    module = draw(st.sampled_from([None, ModuleType.AILB]))
    return replace(plain, backends=(), module_type=module, ai=draw(ai_options(pools)), **kept)


@st.composite
def routes(draw, route_id, priority, listener_names, pools, able):
    match = RouteMatch(
        draw(distinct(st.sampled_from(["a.example", "*.b.example", "*"]))), draw(PATHS),
        draw(distinct(st.sampled_from(["GET", "POST"]))), draw(st.lists(HEADERS, max_size=2).map(tuple)),
    )  # fmt: skip
    retry = RetryPolicy(
        draw(st.integers(0, 10)), draw(distinct(st.sampled_from(sorted(RETRY_CONDITIONS)))), draw(SECONDS)
    )
    protocol = draw(st.sampled_from(sorted(set(Protocol) - STREAMING_PROTOCOLS | {Protocol.RTMP}, key=str)))
    alone = [{other} for other in DATABASE_PROTOCOLS] + [ORIGIN_PROTOCOLS]
    others = set(Protocol) - DATABASE_PROTOCOLS - ORIGIN_PROTOCOLS
    speaks = next((kind for kind in alone if protocol in kind), others)
    fitting = [name for name, spoken in pools.items() if spoken in speaks]
    backends = tuple(BackendRef(pool, weight) for pool, weight in draw(shares(fitting)))
    if protocol in DATABASE_PROTOCOLS:
        return draw(database_routes(Route(route_id, backends=backends, priority=priority, protocol=protocol)))
    if protocol is Protocol.RTMP:
        return draw(stream_routes(Route(route_id, backends=backends, priority=priority, protocol=protocol)))
    route = Route(
        route_id, match, backends, priority, protocol, draw(st.none() | st.sampled_from(ModuleType)), draw(SECONDS), draw(SECONDS),
        retry, draw(distinct(st.sampled_from(listener_names)) if listener_names else st.just(())),
        draw(distinct(st.sampled_from(["10.0.0.0/8", "::/0"]))), draw(PORTS), draw(PORTS), draw(LABELS),
    )  # fmt: skip
    if able and draw(st.booleans()):
        return draw(ai_routes(Route(route_id, match, priority=priority), able))
    if route.protocol not in HTTP_FAMILY:
        return route
    match = replace(match, query=draw(distinct(PARAMETERS, max_size=2)))
    return replace(route, match=match, **draw(http_features(fitting)))


@st.composite
def states(draw):
    listener_names = draw(distinct(NAMES, max_size=2))
    pool_names = draw(distinct(NAMES, max_size=3))
    route_ids = draw(distinct(NAMES, max_size=3))
    pools = {name: replace(draw(POOLS | DATABASE_POOLS | ORIGIN_POOLS), name=name) for name in pool_names}
    for name, pool in pools.items():
        if pool.protocol is Protocol.HTTP and draw(st.integers(0, 3)):
            pools[name] = replace(pool, ai=draw(AI_POOLS), tls=UpstreamTls(), health_check=None)
    speech = {name: pool.protocol for name, pool in pools.items()}
    able = [name for name, pool in pools.items() if pool.ai is not None]
    served = tuple(
        draw(routes(name, index, listener_names, speech, able)) for index, name in enumerate(route_ids)
    )
    limits = {Takes.REQUESTS: LIMITS, Takes.SESSIONS: DATABASE_LIMITS, Takes.STREAMS: STREAM_LIMITS}
    return DesiredState(
        tuple(draw(listeners(name, 1 + index)) for index, name in enumerate(listener_names)),
        served,
        tuple(pools.values()),
        tuple(
            replace(
                draw(limits[taken_by(route)]),
                limit_id=f"l-{route.route_id}"[:9],
                target=route.route_id,
            )
            for route in served
        ),
        authentication=AUTHENTICATION,
        guardrails=GUARDRAILS,
        **draw(spending()),
    )


@st.composite
def model_states(draw):
    """Nothing but language models."""
    pools = tuple(BackendPool(name, tls=UpstreamTls(), ai=draw(AI_POOLS)) for name in ("p", "q"))
    route = draw(ai_routes(Route("r"), [pool.name for pool in pools]))
    return DesiredState(
        routes=(route,), pools=pools, authentication=AUTHENTICATION, guardrails=GUARDRAILS, **draw(spending())
    )
