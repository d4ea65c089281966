"""Every model value comes back from its message as it was, whatever it holds."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.contract import convert
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.model.ai import AiPool, AiRoute, Model, ModelTarget, Pick, Prefer, Provider, Queue, Scores
from marchproxy.model.database import DatabasePool, DatabaseRoute, Pooling, ReadTarget
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
from marchproxy.model.judging import Sample
from marchproxy.model.limit import LimitUnit, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import HealthStatus, ModuleInstance, ModuleType, Protocol, TrafficEndpoint
from marchproxy.model.plan import Verdict
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
from marchproxy.model.query import Filter, Query
from marchproxy.model.rollout import Decision, Phase, Rollout
from marchproxy.model.rollout import Verdict as Ruling
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
from marchproxy.model.rtmp import (
    Duplicate,
    Encoder,
    OriginPick,
    Packaging,
    RtmpPool,
    RtmpRoute,
    Rung,
    StreamLimits,
)
from marchproxy.model.series import Point
from marchproxy.model.sql import SqlMode, SqlRule, SqlScope, SqlTrait

text = st.text(st.characters(codec="utf-8"), max_size=8)
name = st.text("abz09.-", min_size=1, max_size=8)
labels = st.dictionaries(text, text, max_size=3)
seconds = st.integers(0, 10**8).map(lambda ms: ms / 1000)
some_seconds = st.integers(1, 10**8).map(lambda ms: ms / 1000)
count = st.integers(0, 2**31 - 1)
weight = st.integers(-5, 105)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def tuples(items, most=3):
    return st.lists(items, max_size=most).map(tuple)


headers = st.builds(
    HeaderMatch, name=name, kind=st.sampled_from(HeaderKind), value=text, invert=st.booleans()
).map(lambda header: replace(header, value="") if header.kind is HeaderKind.PRESENT else header)
patterns = st.sampled_from(["a.example.com", "*.example.com", "*", "b"])
paths = st.sampled_from(["/", "/a", "/a/", "/a*", "/*", "=", "~", "/a=~", "a"])
backends = st.one_of(
    st.builds(lambda pool, share: (BackendRef(pool, share),), name, st.integers(1, 105)),
    st.lists(st.builds(BackendRef, pool=name, weight=weight), min_size=2, max_size=3).map(tuple),
    st.just(()),
)
parameters = st.builds(QueryMatch, name=name, kind=st.sampled_from(HeaderKind), value=text).map(
    lambda parameter: replace(parameter, value="") if parameter.kind is HeaderKind.PRESENT else parameter
)
pairs = tuples(st.tuples(name, text)).map(lambda items: tuple(sorted(items, key=lambda pair: pair[0])))
edits = st.builds(HeaderEdits, set=pairs, add=pairs, remove=tuples(name))
database_pools = st.builds(
    DatabasePool,
    pooling=st.sampled_from(Pooling),
    size=st.integers(1, 99),
    wait=seconds,
    idle=seconds,
    lifetime=seconds,
    users=text,
    monitor=text,
    monitor_database=name,
    probe_interval=seconds,
    max_lag=seconds,
    reset=text,
    cluster=st.booleans(),
)
rules = st.builds(
    SqlRule,
    id=text,
    mode=st.sampled_from(SqlMode),
    kinds=tuples(text),
    tables=tuples(text),
    columns=tuples(text),
    functions=tuples(text),
    traits=tuples(st.sampled_from(SqlTrait)),
    scope=st.builds(SqlScope, users=tuples(text), databases=tuples(text), applications=tuples(text)),
)
database_routes = st.builds(
    DatabaseRoute,
    databases=tuples(text),
    users=tuples(text),
    applications=tuples(text),
    prefixes=tuples(text),
    rename=text,
    target=st.sampled_from(ReadTarget),
    writes=text,
    switch_timeout=seconds,
    split_reads=st.booleans(),
    catch_up=seconds,
    hints=st.booleans(),
    firewall=tuples(rules),
    needs=tuples(text),
)
ai_pools = st.builds(
    AiPool,
    provider=st.sampled_from(Provider),
    models=labels,
    serves=tuples(text),
    base_path=text,
    credential=text,
    pick=st.sampled_from(Pick),
    scores=st.builds(Scores, st.floats(0, 9), st.floats(0, 9), st.floats(0, 9)),
    metrics_interval=seconds,
    metrics_path=text.filter(bool),
    saturated_queue=st.integers(1, 99),
    saturated_kv=st.floats(0.01, 1),
    in_band_errors=st.booleans(),
)
models = st.builds(
    Model,
    name=text,
    targets=tuples(st.builds(ModelTarget, pool=text, weight=weight, tier=count, model=text)),
    aliases=tuples(text),
    prefer=st.sampled_from(Prefer),
)
ai_routes = st.builds(
    AiRoute,
    models=tuples(models),
    require_key=st.booleans(),
    guardrails=tuples(text),
    cache=seconds,
    queue=st.builds(Queue, size=count, wait=seconds, priority_header=text),
    first_byte_timeout=seconds,
    attempts=st.integers(1, 10),
    default_output=st.integers(1, 10**6),
    max_body_bytes=st.integers(1, 2**40),
    affinity_header=text,
)
rtmp_pools = st.builds(
    RtmpPool,
    pick=st.sampled_from(OriginPick),
    app=text,
    hide_query=st.booleans(),
    proxy_protocol=count,
    window=st.integers(1, 2**31 - 1),
)
packagings = st.builds(
    Packaging,
    hls=st.booleans(),
    dash=st.booleans(),
    segment=seconds,
    window=st.integers(1, 99),
    passthrough=st.booleans(),
    rungs=tuples(st.builds(Rung, height=count, video_rate=count)),
    encoder=st.sampled_from(Encoder),
    on_demand=st.booleans(),
    linger=seconds,
    origins=tuples(text).filter(bool),
)
rtmp_routes = st.builds(
    RtmpRoute,
    vhosts=tuples(text),
    apps=tuples(text),
    streams=tuples(text),
    publish=tuples(text),
    play=tuples(text),
    duplicate=st.sampled_from(Duplicate),
    push=tuples(text),
    limits=st.builds(StreamLimits, count, count, count, count),
    stall=seconds,
    grace=seconds,
    gop_cache=st.integers(0, 2**40),
    queue=st.integers(1, 2**40),
    packaging=st.none() | packagings,
)
features = st.fixed_dictionaries(
    {},
    optional={
        "rewrite": st.builds(Rewrite, text, text, text),
        "redirect": st.builds(Redirect, text, text, count, text, text, st.booleans(), st.integers(1, 999)),
        "response": st.builds(DirectResponse, count, text, text.filter(bool)),
        "request_headers": edits,
        "response_headers": edits,
        "mirrors": tuples(st.builds(Mirror, name, st.floats(0, 100))),
        "cors": st.builds(
            Cors, tuples(name), tuples(name).filter(bool), tuples(name), tuples(name), st.booleans(), count
        ),
        "sticky": st.builds(Sticky, st.sampled_from(StickyKind), text, seconds),
        "allow": tuples(name),
        "deny": tuples(name),
        "max_request_bytes": count,
        "compression": st.booleans(),
        "authentication": tuples(name),
        "upgrades": tuples(name),
        "database": database_routes,
        "ai": ai_routes,
        "rtmp": rtmp_routes,
    },
)
plain_routes = st.builds(
    Route,
    route_id=name,
    match=st.builds(
        RouteMatch,
        hosts=tuples(patterns),
        path=st.builds(PathMatch, kind=st.sampled_from(PathKind), value=paths),
        methods=tuples(st.sampled_from(["GET", "POST"])),
        headers=tuples(headers, most=5),
        query=tuples(parameters),
    ),
    backends=backends,
    priority=st.integers(-(2**31), 2**31 - 1),
    protocol=st.sampled_from(Protocol),
    module_type=st.none() | st.sampled_from(ModuleType),
    timeout=seconds,
    idle_timeout=seconds,
    retry=st.builds(
        RetryPolicy,
        attempts=count,
        on=st.lists(st.sampled_from(sorted(RETRY_CONDITIONS)), min_size=1, max_size=4).map(tuple),
        per_try_timeout=seconds,
    ),
    listeners=tuples(name),
    sources=tuples(st.sampled_from(["10.0.0.0/8", "::/0", "*"])),
    source_port=count,
    destination_port=count,
    metadata=labels,
)
routes = st.builds(lambda plain, more: replace(plain, **more), plain_routes, features)
checks = st.builds(
    HealthCheck,
    interval=some_seconds,
    timeout=some_seconds,
    unhealthy_threshold=st.integers(1, 9),
    healthy_threshold=st.integers(1, 9),
    path=st.sampled_from(["", "/healthz"]),
    port=count,
)
pools = st.builds(
    BackendPool,
    name=name,
    version=name,
    endpoints=tuples(st.builds(Endpoint, address=text, weight=st.integers(1, 100))),
    protocol=st.sampled_from(Protocol),
    health_check=st.none() | checks,
    balance=st.sampled_from(BalancePolicy),
    connect_timeout=seconds,
    tls=st.none() | st.builds(UpstreamTls, text, text, text, text, st.booleans()),
    breakers=st.builds(CircuitBreakers, count, count, count, st.floats(0, 100)),
    outliers=st.none()
    | st.builds(OutlierDetection, st.integers(1, 9), some_seconds, some_seconds, st.integers(1, 100)),
    discovery=st.builds(Discovery, text, text, text, some_seconds),
    slow_start=seconds,
    hash_table=st.sampled_from(HashTable),
    metadata=labels,
    database=st.none() | database_pools,
    ai=st.none() | ai_pools,
    rtmp=st.none() | rtmp_pools,
)
limits = st.builds(
    RateLimit,
    limit_id=text,
    target=text,
    per_second=st.integers(-(2**63), 2**63 - 1),
    per_minute=count,
    per_hour=count,
    burst=count,
    enabled=st.booleans(),
    per=text,
    metadata=labels,
    shared=st.booleans(),
    counts=st.sampled_from(LimitUnit),
    max_concurrent=count,
)
instances = st.builds(
    ModuleInstance,
    instance_id=text,
    module_type=st.sampled_from(ModuleType),
    address=text,
    version=name,
    health=st.sampled_from(HealthStatus),
    started_at=st.none() | moments,
    current_connections=count,
    max_connections=count,
    traffic_weight=weight,
    traffic_endpoints=tuples(
        st.builds(
            TrafficEndpoint,
            name=text,
            protocol=st.sampled_from(Protocol),
            address=text,
            proxy_protocol=st.booleans(),
        )
    ),
    config_checksum=text,
    metadata=labels,
)
listeners = st.builds(
    Listener,
    name=text,
    host=st.sampled_from(["0.0.0.0", "::", "::1", "127.0.0.1"]),
    port=st.integers(0, 70000),
    protocol=st.sampled_from(Protocol),
    module_type=st.sampled_from(ModuleType),
    balance=st.sampled_from(BalancePolicy),
    version_weights=st.dictionaries(name, weight, max_size=3).map(
        lambda shares: tuple(VersionWeight(version, share) for version, share in sorted(shares.items()))
    ),
    idle_timeout=seconds,
    data_plane=st.sampled_from(DataPlaneKind),
    server_names=tuples(text),
    alpn=tuples(text),
    tls=st.none() | st.builds(TlsTermination, text, text, text, tuples(text)),
    allow=tuples(text),
    deny=tuples(text),
    max_connections=count,
    max_connections_per_source=count,
    proxy_protocol=st.booleans(),
    trusted_proxies=tuples(text),
)
verdicts = st.builds(Verdict, can_handle=st.booleans(), priority=count, reason=text)
samples = st.builds(Sample, requests=count, failures=count, p99_latency_ms=st.floats(0, 1e6))
decisions = st.builds(
    Decision,
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them bare
    verdict=st.sampled_from(Ruling),
    reason=text,
    before=weight,
    after=weight,
    canary=samples,
    baseline=samples,
    p_value=st.floats(0, 1),
)
rollouts = st.builds(
    Rollout,
    version=text,
    percent=weight,
    target=text,
    phase=st.sampled_from(Phase),
    reason=text,
    decisions=tuples(decisions),
)
queries = st.builds(
    Query,
    filters=tuples(st.builds(Filter, field=text, operator=text, value=text)),
    sort_by=text,
    sort_desc=st.booleans(),
    page=weight,
    page_size=weight,
)

CASES = {
    "route": (routes, convert.route_to_pb, convert.route_from_pb, types_pb2.Route),
    "pool": (pools, convert.pool_to_pb, convert.pool_from_pb, types_pb2.BackendPool),
    "health check": (
        checks,
        convert.health_check_to_pb,
        convert.health_check_from_pb,
        types_pb2.HealthCheckConfig,
    ),
    "limit": (limits, convert.limit_to_pb, convert.limit_from_pb, types_pb2.RateLimit),
    "instance": (instances, convert.instance_to_pb, convert.instance_from_pb, types_pb2.ModuleInstance),
    "listener": (listeners, convert.listener_to_pb, convert.listener_from_pb, nlb_pb2.Listener),
    "verdict": (verdicts, convert.verdict_to_pb, convert.verdict_from_pb, module_pb2.CanHandleResponse),
    "rollout": (rollouts, convert.rollout_to_pb, convert.rollout_from_pb, types_pb2.RolloutStatus),
    "query": (queries, convert.query_to_pb, convert.query_from_pb, types_pb2.Query),
}


@pytest.mark.parametrize("case", CASES)
def test_a_value_comes_back_as_it_was(case):
    values, to_pb, from_pb, message = CASES[case]

    @given(values)
    def survives(value):
        wire = to_pb(value).SerializeToString()
        assert from_pb(message.FromString(wire)) == value

    survives()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2 * 10**12).map(lambda ms: ms / 1000),
            st.builds(
                Point,
                name=text,
                value=st.floats(allow_nan=False),
                labels=labels.map(lambda items: tuple(sorted(items.items()))),
            ),
        ),
        max_size=3,
    )
)
def test_points_come_back_as_they_were(points):
    assert convert.points_from_pb(convert.points_to_pb(points), now=0.0) == points
