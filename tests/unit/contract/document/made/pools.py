"""Pools and limits, made up."""

from dataclasses import replace

from hypothesis import strategies as st

from marchproxy.model.database import (
    DATABASE_PROTOCOLS,
    DatabasePool,
    Pooling,
)
from marchproxy.model.limit import LimitUnit, RateLimit
from marchproxy.model.module import Protocol
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
from tests.unit.contract.document.made.parts import (
    ADDRESSES,
    LABELS,
    NAMES,
    PORTS,
    SECONDS,
    WAITS,
)

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
