"""Listeners, instances and verdicts as no person would write them, yet as the model's types allow them."""

from hypothesis import strategies as st

from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import VersionWeight

# few values of each, so that things meet
VERSIONS = st.sampled_from([Version("v1"), Version("v2"), Version("v3.1")])
HOSTS = st.sampled_from(["127.0.0.1", "0.0.0.0", "10.0.0.9", "::1", "::"])
PLACES = st.sampled_from(
    [
        "127.0.0.1:80",
        "10.0.0.1:80",
        "10.0.0.1:81",
        "10.0.0.2:80",
        "0.0.0.0:80",
        "[::1]:80",
        "[fd00::1]:80",
        "a.host:80",
    ]
)
TYPES = st.sampled_from([ModuleType.ALB, ModuleType.DBLB])
PROTOCOLS = st.sampled_from(
    [
        Protocol.HTTP,
        Protocol.GRPC,
        Protocol.HTTPS,
        Protocol.TCP,
        Protocol.POSTGRES,
        Protocol.MYSQL,
        Protocol.UDP,
    ]
)
NAMES = st.sampled_from(["a.example", "*.example", "b.example"])
NETWORKS = st.sampled_from(["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"])
ENDPOINTS = st.builds(TrafficEndpoint, st.just("e"), PROTOCOLS, PLACES, st.booleans())
HEALTH = st.sampled_from([HealthStatus.HEALTHY] * 4 + [*HealthStatus])
VERDICTS = st.sampled_from([Verdict(True)] * 4 + [Verdict(True, 7), Verdict(False), None])


def few(values, most=3):
    return st.lists(values, max_size=most, unique=True).map(tuple)


def weights():
    """None, or a sound split; so seldom sound by chance that the sum is made 100."""
    parts = st.tuples(st.integers(0, 50), st.integers(0, 50))
    return st.just(()) | parts.map(
        lambda part: (
            VersionWeight(Version("v1"), part[0]),
            VersionWeight(Version("v2"), part[1]),
            VersionWeight(Version("v3.1"), 100 - sum(part)),
        )
    )


@st.composite
def listeners(draw, **fixed):
    """One to six listeners with names of their own; `fixed`: strategies in place of those here."""
    values = {
        "host": HOSTS,
        "port": st.integers(1000, 1004),
        "protocol": PROTOCOLS,
        "module_type": TYPES,
        "balance": st.sampled_from(BalancePolicy),
        "version_weights": weights(),
        "idle_timeout": st.sampled_from([0.0, 1.5, 3600.0]),
        "server_names": few(NAMES),
        "alpn": few(st.sampled_from(["h2", "http/1.1", "postgresql"])),
        "tls": st.none() | st.just(TlsTermination("/tls/cert.pem", "/tls/key.pem")),
        "allow": few(NETWORKS),
        "deny": few(NETWORKS),
        "max_connections": st.integers(0, 3),
        "max_connections_per_source": st.integers(0, 3),
        **fixed,
    }
    count = draw(st.integers(1, 6))
    return [Listener(f"l{number}", **draw(st.fixed_dictionaries(values))) for number in range(count)]


@st.composite
def instances(draw):
    """Up to six instances with ids of their own."""
    return [
        ModuleInstance(
            InstanceId(f"i{number}"),
            draw(TYPES),
            "10.0.0.1:50051",
            draw(VERSIONS),
            draw(HEALTH),
            traffic_weight=draw(st.sampled_from([100, 100, 1, 300, 0, -1])),
            traffic_endpoints=tuple(draw(st.lists(ENDPOINTS, min_size=1, max_size=8))),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@st.composite
def worlds(draw, **fixed):
    """Listeners, instances, and the answers to CanHandle that some of the instances have given."""
    wanted, known = draw(listeners(**fixed)), draw(instances())
    verdicts = {
        (instance.instance_id, listener.name): verdict
        for instance in known
        for listener in wanted
        if (verdict := draw(VERDICTS))
    }
    return wanted, known, verdicts
