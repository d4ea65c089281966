import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck as Slow
from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.contract.document import LARGEST_DOCUMENT, checksum, decode, encode
from marchproxy.model.ai import (
    PII_ENTITIES,
    AiPool,
    AiRoute,
    Allowance,
    GuardKind,
    GuardMode,
    Guardrail,
    Model,
    ModelTarget,
    Pick,
    Prefer,
    Price,
    PricedModel,
    Provider,
    Queue,
    Scores,
    VirtualKey,
)
from marchproxy.model.checks import check_listeners, check_state
from marchproxy.model.database import (
    DATABASE_PROTOCOLS,
    REDIS_NEEDS,
    DatabasePool,
    DatabaseRoute,
    Pooling,
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
from marchproxy.model.limit import LimitUnit, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import HTTP_FAMILY, ModuleType, Protocol
from marchproxy.model.pool import (
    BackendPool,
    BalancePolicy,
    CircuitBreakers,
    Discovery,
    Endpoint,
    HashTable,
    HealthCheck,
    OutlierDetection,
    UpstreamTls,
)
from marchproxy.model.problem import InvalidValue
from marchproxy.model.route import (
    RETRY_CONDITIONS,
    BackendRef,
    HeaderKind,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
    RetryPolicy,
    Route,
    RouteMatch,
    VersionWeight,
)
from marchproxy.model.sql import SQL_KINDS, SqlMode, SqlRule, SqlScope, SqlTrait
from marchproxy.model.state import DesiredState
from marchproxy.model.weights import split

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,5}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=2)
SECONDS = st.floats(0, 1000) | st.just(-0.0)
WAITS = st.floats(0.001, 1000)
PORTS = st.integers(0, 65535)
ADDRESSES = st.builds("{}:{}".format, NAMES.filter(lambda name: name[-1].isalnum()), st.integers(1, 65535))
PATTERNS = st.sampled_from(["/v[0-9]+/.*", r"/a\.b", "x|y"])
PATHS = st.builds(
    PathMatch, st.sampled_from([PathKind.EXACT, PathKind.PREFIX]), st.sampled_from(["/", "/a", "/é/ü"])
)
PATHS |= st.builds(PathMatch, st.just(PathKind.REGEX), PATTERNS)
PATHS |= st.builds(PathMatch, st.just(PathKind.TEMPLATE), st.sampled_from(["/{a}/*", "/é/{rest=**}"]))
PARAMETERS = st.builds(QueryMatch, NAMES, st.just(HeaderKind.EXACT), st.sampled_from(["", "a=%20"]))
PARAMETERS |= st.builds(QueryMatch, NAMES, st.just(HeaderKind.REGEX), PATTERNS)
PARAMETERS |= st.builds(QueryMatch, NAMES, st.just(HeaderKind.PRESENT))
HEADERS = st.builds(
    HeaderMatch, NAMES, st.sampled_from([HeaderKind.EXACT, HeaderKind.PREFIX]), TEXTS, st.booleans()
)
HEADERS |= st.builds(HeaderMatch, NAMES, st.just(HeaderKind.REGEX), PATTERNS, st.booleans())
HEADERS |= st.builds(HeaderMatch, NAMES, st.just(HeaderKind.PRESENT), st.just(""), st.booleans())


def distinct(values, **options):
    unique = {} if "unique_by" in options else {"unique": True}
    return st.lists(values, **unique, **options).map(tuple)


@st.composite
def shares(draw, names):
    chosen = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    proportions = draw(st.lists(st.integers(0, 9), min_size=len(chosen), max_size=len(chosen)))
    return list(zip(chosen, split(100, proportions), strict=True))


NETWORKS = distinct(st.sampled_from(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:0:0/96"]))
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


MODEL_NAMES = st.sampled_from(["gpt-4o", "Qwen/Qwen3:8b", "claude[1m]", "é"])
PATTERNS_OF_MODELS = st.sampled_from(["gpt-*", "*", "o1"])
AI_POOLS = st.builds(
    AiPool,
    provider=st.sampled_from([Provider.VLLM, Provider.SGLANG]),
    models=st.dictionaries(MODEL_NAMES, MODEL_NAMES, max_size=2),
    serves=st.sampled_from([(), ("*",), ("o1", "gpt-*", "*")]),
    base_path=st.sampled_from(["", "/", "/é/v1"]),
    credential=st.sampled_from(["", "/k é"]),
    scores=st.builds(Scores, st.floats(0.5, 9), st.floats(0, 9), st.floats(0, 9) | st.just(-0.0)),
    metrics_interval=st.floats(0.01, 60) | st.just(-0.0),
    metrics_path=st.sampled_from(["/metrics", "/m/é"]),
    saturated_queue=st.integers(1, 99),
    saturated_kv=st.floats(0.01, 1),
    in_band_errors=st.booleans(),
)
AI_POOLS |= st.builds(AiPool, st.just(Provider.OPENAI), pick=st.sampled_from(Pick))


@st.composite
def models(draw, name, pools):
    """A model with two tiers; the weights of each add up, where they count."""
    tiers = [draw(shares(pools)) or [(pools[0], 100)], [(pools[-1], 100)]]
    prefer = draw(st.sampled_from(Prefer))
    targets = tuple(
        ModelTarget(pool, weight if prefer is Prefer.WEIGHT else 100, tier, "other" if tier else "")
        for tier, split_ in enumerate(tiers)
        for pool, weight in split_
    )
    return Model(name, targets, draw(st.just(()) | st.just((f"{name}-alias",))), prefer)


@st.composite
def ai_routes(draw, plain, pools):
    ai = AiRoute(
        tuple(draw(models(name, pools)) for name in draw(distinct(MODEL_NAMES, min_size=1, max_size=2))),
        guardrails=draw(distinct(st.sampled_from([guardrail.name for guardrail in GUARDRAILS]))),
        cache=draw(st.floats(0, 86400) | st.just(-0.0)),
        queue=draw(st.builds(Queue, st.integers(1, 9), WAITS, st.sampled_from(["", "x-p"])) | st.just(Queue(0, -0.0))),
        first_byte_timeout=draw(WAITS),
        attempts=draw(st.integers(1, 10)),
        default_output=draw(st.integers(1, 9)),
        max_body_bytes=draw(st.integers(1, 2**26)),
        affinity_header=draw(st.sampled_from(["", "x-session"])),
        require_key=draw(st.booleans()),
    )  # fmt: skip
    kept = {key: draw(OF_ALL[key]) for key in ("cors", "allow", "response_headers")}
    return replace(
        plain, backends=(), module_type=draw(st.sampled_from([None, ModuleType.AILB])), ai=ai, **kept
    )


GUARDRAILS = (
    Guardrail("words", GuardKind.REGEX, GuardMode.REDACT, patterns=("a+é", "b")),
    Guardrail("pii", GuardKind.PII, GuardMode.LOG, entities=tuple(sorted(PII_ENTITIES))),
    Guardrail("tools", GuardKind.TOOLS, allowed=("get_*",)),
    Guardrail("asked", GuardKind.HTTP, url="https://é.example/", timeout=2.5, fail_open=True),
    Guardrail("length", GuardKind.MAX_TOKENS, limit=7),
)
KEYS = st.builds(
    VirtualKey,
    st.just(""),
    st.just(""),
    st.sampled_from(["", "ann@b.example", "é"]),
    st.sampled_from(["", "search"]),
    distinct(PATTERNS_OF_MODELS),
    st.sampled_from(["", "2030-01-31T12:00:00Z", "2030-01-31T12:00:00.5+02:00"]),
    st.booleans(),
    st.integers(0, 9),
)
ALLOWANCES = st.builds(
    Allowance,
    st.just(""),
    st.just(""),
    st.integers(1, 9),
    PORTS,
    PORTS,
    st.floats(0, 1e9) | st.just(-0.0),
    st.floats(0, 1e9),
    st.booleans(),
)
PRICES = st.builds(Price, st.floats(0, 99) | st.just(-0.0), st.floats(0, 99), st.none() | st.floats(0, 99))


@st.composite
def spending(draw):
    """Keys, allowances and prices."""
    ids = draw(distinct(NAMES, max_size=3))
    targets = draw(distinct(st.sampled_from(["*", "key:*", "user:é", "team:search", "model:gpt-4o"])))
    priced = draw(distinct(PATTERNS_OF_MODELS | MODEL_NAMES))
    return {
        "virtual_keys": tuple(
            replace(draw(KEYS), key_id=key_id, hash=f"{at:064x}") for at, key_id in enumerate(ids)
        ),
        "allowances": tuple(
            replace(draw(ALLOWANCES), allowance_id=f"a{at}", target=target)
            for at, target in enumerate(targets)
        ),
        "prices": tuple(PricedModel(model, draw(PRICES)) for model in priced),
    }


@st.composite
def routes(draw, route_id, priority, listener_names, pools, able):
    match = RouteMatch(
        draw(distinct(st.sampled_from(["a.example", "*.b.example", "*"]))), draw(PATHS),
        draw(distinct(st.sampled_from(["GET", "POST"]))), draw(st.lists(HEADERS, max_size=2).map(tuple)),
    )  # fmt: skip
    retry = RetryPolicy(
        draw(st.integers(0, 10)), draw(distinct(st.sampled_from(sorted(RETRY_CONDITIONS)))), draw(SECONDS)
    )
    protocol = draw(st.sampled_from(Protocol))
    speaks = {protocol} if protocol in DATABASE_PROTOCOLS else set(Protocol) - DATABASE_PROTOCOLS
    fitting = [name for name, spoken in pools.items() if spoken in speaks]
    backends = tuple(BackendRef(pool, weight) for pool, weight in draw(shares(fitting)))
    if protocol in DATABASE_PROTOCOLS:
        return draw(database_routes(Route(route_id, backends=backends, priority=priority, protocol=protocol)))
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


POOLS = st.builds(
    BackendPool,
    st.just(""),
    NAMES,
    st.lists(
        st.builds(Endpoint, ADDRESSES, st.integers(1, 100)), unique_by=lambda e: e.address, max_size=3
    ).map(tuple),
    st.sampled_from([Protocol.HTTP, Protocol.GRPC]),
    st.none()
    | st.builds(
        HealthCheck, WAITS, WAITS, st.integers(1, 9), st.integers(1, 9), st.sampled_from(["", "/up"]), PORTS
    ),
    st.sampled_from(BalancePolicy),
    WAITS,
    tls=st.none()
    | st.builds(UpstreamTls, st.sampled_from(["", "/ca"]), st.just("a"), st.just("/c é"), st.just("/k")),
    breakers=st.builds(CircuitBreakers, PORTS, PORTS, PORTS, st.floats(0, 100) | st.just(-0.0)),
    outliers=st.none() | st.builds(OutlierDetection, st.integers(1, 9), WAITS, WAITS, st.integers(1, 100)),
    discovery=st.builds(Discovery, ADDRESSES, interval=WAITS)
    | st.just(Discovery(srv="_a._tcp.b"))
    | st.just(Discovery(file="/f")),
    hash_table=st.sampled_from(HashTable),
    metadata=LABELS,
)


DATABASE_POOLS = st.builds(
    BackendPool,
    st.just(""),
    NAMES,
    st.just((Endpoint("db:1"),)),
    st.sampled_from(sorted(DATABASE_PROTOCOLS, key=str)),
    database=st.none()
    | st.builds(
        DatabasePool,
        st.sampled_from(Pooling),
        st.integers(1, 100_000),
        WAITS,
        SECONDS,
        SECONDS,
        st.just("/users é"),
        st.sampled_from(["", "m"]),
        NAMES,
        WAITS,
        SECONDS,
    ),
)


LIMITS = st.builds(
    RateLimit,
    st.just(""),
    st.just(""),
    st.integers(1, 9),
    PORTS,
    PORTS,
    PORTS,
    st.booleans(),
    st.sampled_from(["", "client", "header:x"]),
    LABELS,
)
DATABASE_LIMITS = st.builds(
    replace,
    LIMITS,
    per=st.sampled_from(["", "client", "user", "database", "application"]),
    counts=st.sampled_from(LimitUnit),
    max_concurrent=PORTS,
)


@st.composite
def states(draw):
    listener_names = draw(distinct(NAMES, max_size=2))
    pool_names = draw(distinct(NAMES, max_size=3))
    route_ids = draw(distinct(NAMES, max_size=3))
    pools = {name: replace(draw(POOLS | DATABASE_POOLS), name=name) for name in pool_names}
    for name, pool in pools.items():
        if pool.protocol is Protocol.HTTP and draw(st.integers(0, 3)):
            pools[name] = replace(pool, ai=draw(AI_POOLS), tls=UpstreamTls(), health_check=None)
    speech = {name: pool.protocol for name, pool in pools.items()}
    able = [name for name, pool in pools.items() if pool.ai is not None]
    served = tuple(
        draw(routes(name, index, listener_names, speech, able)) for index, name in enumerate(route_ids)
    )
    of_databases = {route.route_id for route in served if route.protocol in DATABASE_PROTOCOLS}
    return DesiredState(
        tuple(draw(listeners(name, 1 + index)) for index, name in enumerate(listener_names)),
        served,
        tuple(pools.values()),
        tuple(
            replace(
                draw(DATABASE_LIMITS if target in of_databases else LIMITS),
                limit_id=f"l-{target}"[:9],
                target=target,
            )
            for target in route_ids
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


@given(state=states() | model_states())
@settings(max_examples=150, deadline=None, suppress_health_check=[Slow.too_slow, Slow.data_too_large])
def test_a_sound_state_survives_the_document(state):
    assert check_state(state) == ()
    data = encode(state)
    assert decode(data) == state
    assert encode(decode(data)) == data
    if data.decode().isprintable():  # what YAML allows only escaped, JSON allows as it is
        assert decode(b"# read as YAML\n" + data) == state


def test_the_canonical_form():
    state = DesiredState(
        listeners=(Listener("web", "::1", 80),),
        routes=(
            Route(
                "shop",
                RouteMatch(path=PathMatch(PathKind.EXACT, "/é")),
                (BackendRef("p"),),
                metadata={"b": "", "a": ""},
            ),
        ),
        pools=(
            BackendPool("p", endpoints=(Endpoint("a:1"), Endpoint("b:1", 2)), health_check=HealthCheck()),
        ),
        rate_limits=(RateLimit("l", "*", 5),),
    )
    assert json.loads(encode(state)) == {
        "listeners": [{"address": "[::1]:80", "name": "web"}],
        "pools": [{"name": "p", "endpoints": [{"address": "a:1"}, {"address": "b:1", "weight": 2}], "health_check": {}}],
        "rate_limits": [{"id": "l", "requests_per_second": 5, "target": "*"}],
        "routes": [{"backends": [{"pool": "p"}], "id": "shop", "metadata": {"a": "", "b": ""}, "path": {"exact": "/é"}}],
    }  # fmt: skip
    assert b'"metadata":{"a":"","b":""}' in encode(state)
    assert encode(DesiredState()) == b"{}"


def test_equal_states_have_equal_bytes_however_they_were_written():
    one = b"routes: [{id: r, timeout: 1m, path: /}]\nlisteners: [{name: w, address: '0.0.0.0:1', version_weights: {b: 60, a: 40}}]"
    two = (
        b'{"listeners": [{"version_weights": {"a": 40, "b": 60}, "address": "0.0.0.0:1", "module": "alb", "name": "w"}],'
        b' "routes": [{"timeout": 60, "retry": {"attempts": 2}, "path": {"prefix": "/"}, "id": "r"}]}'
    )
    assert decode(one) == decode(two)
    assert checksum(encode(decode(one))) == checksum(encode(decode(two)))


def test_the_sign_of_zero_makes_no_difference():
    minus, plus = (DesiredState(routes=(Route("r", timeout=zero),)) for zero in (-0.0, 0.0))
    assert minus == plus
    assert encode(minus) == encode(plus)


def test_checksum_is_sha256_in_hex():
    assert checksum(b"{}") == hashlib.sha256(b"{}").hexdigest()


HEADER = "routes: [{{id: r, headers: [{{name: x, {}}}]}}]"


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("exact: a", HeaderMatch("x", HeaderKind.EXACT, "a")),
        ("prefix: ''", HeaderMatch("x", HeaderKind.PREFIX, "")),
        ("regex: a+, invert: true", HeaderMatch("x", HeaderKind.REGEX, "a+", invert=True)),
        ("present: true", HeaderMatch("x", HeaderKind.PRESENT)),
        ("present: false", HeaderMatch("x", HeaderKind.PRESENT, invert=True)),
        ("present: true, invert: true", HeaderMatch("x", HeaderKind.PRESENT, invert=True)),
        ("present: false, invert: true", HeaderMatch("x", HeaderKind.PRESENT)),
    ],
)
def test_header_conditions(written, header):
    (route,) = decode(HEADER.format(written).encode()).routes
    assert route.match.headers == (header,)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/api", PathMatch(PathKind.PREFIX, "/api")),
        ("{prefix: /api}", PathMatch(PathKind.PREFIX, "/api")),
        ("{exact: /api}", PathMatch(PathKind.EXACT, "/api")),
        ("{regex: '/v[0-9]'}", PathMatch(PathKind.REGEX, "/v[0-9]")),
        ("{template: '/v/{n}'}", PathMatch(PathKind.TEMPLATE, "/v/{n}")),
    ],
)
def test_paths(written, expected):
    (route,) = decode(f"routes: [{{id: r, path: {written}}}]".encode()).routes
    assert route.match.path == expected


def test_targets_in_short():
    state = decode(
        b"pools: [{name: p, ai: {}}]\nroutes: [{id: r, ai: {models: [{name: m, targets: [p, {pool: p, model: n, tier: 1}]}]}}]"
    )
    (model,) = state.routes[0].ai.models
    assert model.targets == (ModelTarget("p", 100, 0, ""), ModelTarget("p", 100, 1, "n"))


def test_shorthands():
    state = decode(
        b"pools: [{name: p, endpoints: ['a:1', {address: 'b:1', weight: 2}]}]\n"
        b"routes: [{id: r, backends: [p], mirrors: [p], response_headers: {add: {b: x, a: [y, z]}}}]"
    )
    assert state.routes[0].mirrors == (Mirror("p", 100.0),)
    assert state.routes[0].response_headers.add == (("a", "y"), ("a", "z"), ("b", "x"))
    assert state.pools[0].endpoints == (Endpoint("a:1", 1), Endpoint("b:1", 2))
    assert state.routes[0].backends == (BackendRef("p", 100),)


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        (b"routes: [{id: r, pth: /}]", ['routes[0].pth: unknown key; did you mean "path"?']),
        (b"rutes: []", ['rutes: unknown key; did you mean "routes"?']),
        (b"routes: [{id: r, path: {exact: /, prefix: /}}]", ["routes[0].path: give exactly one of prefix, exact, regex and template"]),
        (b"routes: [{id: r, path: {exact: null}}]", ["routes[0].path: give exactly one of prefix, exact, regex and template"]),
        (HEADER.format("invert: true").encode(), ["routes[0].headers[0]: give exactly one of exact, prefix, regex and present"]),
        (b"routes: [{id: r, query: [{name: v, present: false}]}]", ["routes[0].query[0].present: must be True"]),
        (b"routes: [{id: r, cors: {origins: ['*'], max_age: 1500ms}}]", ["routes[0].cors.max_age: must be a valid integer"]),
        (b"routes: [{id: r, request_headers: {set: {x: 1}}}]", ["routes[0].request_headers.set.x: must be a valid string"]),
        (
            b"authentication: [{name: staff, kind: magic}]\nroutes: [{id: r, authentication: [staff, stuff]}]",
            ["authentication[0].kind: must be 'basic', 'api_key', 'jwt', 'userlist', 'auth_query' or 'certificate'", 'routes[0].authentication[1]: no authentication "stuff"; known: staff'],
        ),
        (b"pools: [{name: p, health_check: {interval: soon}}]", ["pools[0].health_check.interval: must be seconds or"]),
        (b'{"pools": [{"name": "p", "connect_timeout": NaN}]}', ["pools[0].connect_timeout: must be a finite number"]),
        (b'{"pools": [], "pools": []}', ["pools: duplicate key; it was first given on line 1"]),
        (b"routes: [", ["line 2: not readable as YAML"]),
        (b"\xff", ["is not UTF-8 text"]),
        (b"[" * 100_000, ["line 1: more than 64 levels"]),
        (b'{"a":' * 100_000, ["line 1: more than 64 levels"]),
        (b"{" + b" " * LARGEST_DOCUMENT, ["8388609 bytes are more than the 8388608 allowed"]),
        (b"routes: [{id: r}, {id: r}]", ["routes[1].id: the same as routes[0].id"]),
        # form and soundness together; the item with the fault of form keeps its name, so nothing else is blamed for it
        (
            b"{routes: [{id: r, backends: [p, q]}, {id: s, timeout: -1}], pools: [{name: p, balance: fair}], rate_limits: [{id: l, target: s}]}",
            [
                "pools[0].balance: must be 'least_connections'",
                "routes[1].timeout: must be greater than or equal to 0",
                "routes[0].backends[1].pool: no pool \"q\"; known: p",
                "routes[0].backends: the weights add up to 200",
                "rate_limits[0]: gives no rate",
            ],
        ),
        (
            (b"{routes: [{id: r, ai: {models: [{name: m, targets: [p, q]}], guardrails: [g, h]}}], guardrails: [{name: g, kind: regex, pattern: a}],"
            b" pools: [{name: p, ai: {provider: openia}}], allowances: [{id: a}, {id: b, target: '*'}], virtual_keys: [{id: k, hash: sk-secret}]}"),
            [
                'guardrails[0].pattern: unknown key; did you mean "patterns"?',
                "pools[0].ai.provider: must be 'openai', 'anthropic', 'ollama', 'vllm', 'sglang' or 'openai_compatible'",
                "allowances[0].target: required",
                "allowances[1]: allows any amount",
                'routes[0].ai.guardrails[1]: no guardrail "h"; known: g',
                'routes[0].ai.models[0].targets[1].pool: no pool "q"; known: p',
                "routes[0].ai.models[0].targets: tier 0: the weights add up to 200",
                "virtual_keys[0].hash: is not a SHA-256 in 64 small hexadecimal digits",
            ],
        ),
        # an item whose name is not known could be what the others refer to: no guesses
        (b"pools: [{nam: p}]\nroutes: [{id: r, backends: [p]}]", ["pools[0].name: required", "pools[0].nam: unknown key"]),
        (b"pools: {p: {}}\nroutes: [{id: r, backends: [p]}]", ["pools: must be"]),
    ],
)  # fmt: skip
def test_every_problem_is_told(data, problems):
    with pytest.raises(InvalidValue) as caught:
        decode(data)
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == len(problems), told
    for expected in problems:
        assert any(text.startswith(expected) for text in told), (expected, told)


FRAGMENTS = st.sampled_from(
    [
        "routes",
        "pools",
        "listeners",
        "rate_limits",
        "id",
        "name",
        "r",
        "path",
        "regex",
        "(",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "-",
        "weight",
        "1",
        "-1",
        "1e999",
        "null",
        "true",
        "'",
        '"',
        "&",
        "*",
        "|",
        "\n",
        "address",
        "0.0.0.0:1",
    ]
)


@given(
    data=st.binary(max_size=60) | st.lists(FRAGMENTS, max_size=25).map(lambda parts: " ".join(parts).encode())
)
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_it(data):
    try:
        state = decode(data)
    except InvalidValue as error:
        assert error.problems  # noqa: PT017 - either outcome is right
    else:
        assert check_state(state) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "name", "path", "backends", "weight", "address", "on", "ai", "models", "target"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


SECTIONS = [
    "routes",
    "pools",
    "listeners",
    "rate_limits",
    "virtual_keys",
    "allowances",
    "prices",
    "guardrails",
]


@given(sections=st.dictionaries(st.sampled_from(SECTIONS), JSON))
@settings(max_examples=300, deadline=None)
def test_no_values_break_it(sections):
    try:
        state = decode(json.dumps(sections).encode())
    except InvalidValue as error:
        assert error.problems  # noqa: PT017 - either outcome is right
    else:
        assert check_state(state) == ()
