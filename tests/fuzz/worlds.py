"""Listeners, instances and verdicts as no person would write them, yet as the model's types allow them."""

from dataclasses import replace

from hypothesis import strategies as st

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
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
from marchproxy.model.route import PathKind, PathMatch, Route, RouteMatch, VersionWeight

# few values of each, so that things meet
VERSIONS = st.sampled_from([Version("v1"), Version("v2"), Version("v3.1")])
HOSTS = st.sampled_from(["0.0.0.0", "10.0.0.9", "::", "127.0.0.1", "::1"])
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
ALPN = st.sampled_from(["h2", "http/1.1", "postgresql"])
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


def often(value, otherwise):
    """A value that is sound, and now and then one that may not be."""
    return st.one_of(st.just(value), st.just(value), st.just(value), otherwise)


@st.composite
def listeners(draw):
    """One to six listeners with names of their own, at addresses of which some are shared, mostly as is allowed."""
    found = [one for port in range(draw(st.integers(1, 3))) for one in draw(_at_one_address(1000 + port))]
    return [replace(one, name=f"l{number}") for number, one in enumerate(found)]


@st.composite
def _at_one_address(draw, port):
    common = {
        "host": draw(HOSTS),
        "port": draw(often(port, st.just(1000))),
        "data_plane": draw(often(DataPlaneKind.AUTO, st.sampled_from(DataPlaneKind))),
        "proxy_protocol": draw(often(False, st.booleans())),
        "allow": draw(often((), few(NETWORKS))),
        "deny": draw(often((), few(NETWORKS))),
        "max_connections": draw(often(0, st.integers(0, 3))),
        "max_connections_per_source": draw(often(0, st.integers(0, 3))),
        "tls": draw(often(None, st.just(TlsTermination("/tls/cert.pem", "/tls/key.pem")))),
        "idle_timeout": draw(often(3600.0, st.sampled_from([0.0, 1.5]))),
    }
    return [
        Listener(
            "",
            **{
                **common,
                "version_weights": draw(weights()),
                "balance": draw(st.sampled_from(BalancePolicy)),
                **own,
            },
        )
        for own in draw(
            st.sampled_from([_alone(), _by_hello(), _by_request(), _by_bytes()]).flatmap(lambda way: way)
        )
    ]


def _alone():
    return st.fixed_dictionaries(
        {
            "protocol": PROTOCOLS,
            "module_type": TYPES,
            "server_names": often((), few(NAMES)),
            "alpn": often((), few(ALPN)),
        }
    ).map(lambda one: [one])


def _by_hello():
    one = st.fixed_dictionaries(
        {
            "protocol": often(Protocol.HTTPS, PROTOCOLS),
            "module_type": TYPES,
            "server_names": few(NAMES),
            "alpn": often((), few(ALPN)),
        }
    )
    return st.lists(one, min_size=1, max_size=2, unique_by=lambda own: own["server_names"])


def _by_request():
    kinds = st.lists(TYPES, min_size=1, max_size=2, unique=True)
    protocol = often(Protocol.HTTP, st.sampled_from([Protocol.GRPC, Protocol.HTTPS]))
    return st.tuples(kinds, protocol).map(
        lambda made: [{"protocol": made[1], "module_type": kind} for kind in made[0]]
    )


def _by_bytes():
    protocols = st.lists(
        PROTOCOLS.filter(lambda one: one is not Protocol.UDP), min_size=1, max_size=2, unique=True
    )
    return st.tuples(protocols, TYPES).map(
        lambda made: [{"protocol": protocol, "module_type": made[1]} for protocol in made[0]]
    )


def limits():
    """Rate limits that the NLB keeps."""
    targets = ["listener:l0", "listener:l1", "module:alb", "module:dblb"]
    targets += ["source:10.0.0.0/8", "source:192.0.2.1", "source:fd00::/8", "client:0.0.0.0/0"]
    rates = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1), st.integers(0, 4))
    made = st.tuples(st.sampled_from(targets), rates).map(
        lambda item: RateLimit(
            LimitId(f"on-{item[0].partition(':')[2].replace('/', '-').replace(':', '.')}"), item[0], *item[1]
        )
    )
    return st.lists(made, max_size=3, unique_by=lambda limit: limit.target)


def routes():
    """Routes of the table, which tell module types apart by request."""
    matches = st.builds(
        RouteMatch,
        few(st.sampled_from(["a.example", "*.example"])),
        st.builds(
            PathMatch, st.sampled_from([PathKind.EXACT, PathKind.PREFIX]), st.sampled_from(["/", "/a"])
        ),
        few(st.sampled_from(["GET", "POST"])),
    )
    made = st.builds(
        Route,
        st.uuids().map(str),
        matches,
        priority=st.integers(-1, 1),
        protocol=st.sampled_from([Protocol.HTTP, Protocol.GRPC, Protocol.TCP]),
        module_type=st.none() | TYPES,
        listeners=few(st.sampled_from(["l0", "l1"])),
    )
    return st.lists(made, max_size=3)


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
def worlds(draw):
    """Listeners, instances, and the answers to CanHandle that some of the instances have given."""
    wanted, known = draw(listeners()), draw(instances())
    verdicts = {
        (instance.instance_id, listener.name): verdict
        for instance in known
        for listener in wanted
        if (verdict := draw(VERDICTS))
    }
    return wanted, known, verdicts
