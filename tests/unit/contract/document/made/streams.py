"""What documents may say of streams, made up."""

from dataclasses import replace

from hypothesis import strategies as st

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.limit import LimitUnit
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BackendPool, Endpoint, UpstreamTls
from marchproxy.model.rtmp import (
    DEFAULT_LADDER,
    Duplicate,
    Encoder,
    OriginPick,
    Packaging,
    RtmpPool,
    RtmpRoute,
    Rung,
    StreamLimits,
)
from tests.unit.contract.document.made.parts import LABELS, NAMES, NETWORKS, PORTS, SECONDS, WAITS, distinct
from tests.unit.contract.document.made.pools import LIMITS

WAYS = (
    Authentication("keys", AuthenticationKind.STREAM_KEYS, "/keys é"),
    Authentication("tokens-of-streams", AuthenticationKind.SIGNED, "/secret"),
    Authentication("asked", AuthenticationKind.CALLBACK, url="https://a.example/é", timeout=0.5),
)
ORIGIN_POOLS = st.builds(
    BackendPool,
    st.just(""),
    NAMES,
    st.just((Endpoint("origin:1935"), Endpoint("other:1935", 3))),
    st.just(Protocol.RTMP),
    rtmp=st.none()
    | st.builds(
        RtmpPool,
        st.sampled_from(OriginPick),
        st.sampled_from(["", "live", "a/é"]),
        st.booleans(),
        st.integers(0, 2),
        st.integers(4096, 2**31 - 1),
    ),
)
ORIGIN_POOLS |= ORIGIN_POOLS.map(lambda pool: replace(pool, protocol=Protocol.RTMPS, tls=UpstreamTls()))
STREAM_LIMITS = st.builds(
    replace, LIMITS, per=st.sampled_from(["", "client"]), counts=st.just(LimitUnit.CONNECTIONS)
)

_COUNTS = st.just(0) | st.integers(1, 2**31 - 1)
_RUNGS = distinct(
    st.builds(Rung, st.sampled_from([144, 720, 4320]), st.integers(1, 9999), st.integers(1, 999)),
    unique_by=lambda rung: rung.height,
)
_PACKAGING = st.builds(
    Packaging,
    dash=st.booleans(),
    segment=st.floats(0.5, 30),
    window=st.integers(3, 1000),
    rungs=_RUNGS | st.just(DEFAULT_LADDER),
    encoder=st.sampled_from(Encoder),
    on_demand=st.booleans(),
    linger=SECONDS,
    origins=st.sampled_from([("*",), ("https://a.example", "https://*.b.example:8443")]),
)  # fmt: skip
_PATTERNS = distinct(st.sampled_from(["a", "*é", "[a-z]?"]), max_size=2)
_OPTIONS = st.builds(
    RtmpRoute,
    vhosts=_PATTERNS,
    apps=_PATTERNS | st.just(("a/B*",)),
    streams=_PATTERNS | st.just(("A",)),
    publish=distinct(st.sampled_from([way.name for way in WAYS]), min_size=1),
    play=distinct(st.sampled_from([way.name for way in WAYS])),
    duplicate=st.sampled_from(Duplicate),
    push=distinct(st.sampled_from(["rtmp://a/b/{stream}?k=é", "rtmps://[::1]:1/{vhost}/{app}/x"])),
    limits=st.builds(StreamLimits, _COUNTS, _COUNTS, _COUNTS, _COUNTS),
    stall=WAITS,
    grace=SECONDS,
    gop_cache=st.integers(0, 2**28),
    queue=st.integers(2**16, 2**28),
    packaging=st.none() | _PACKAGING,
)


@st.composite
def stream_routes(draw, plain):
    """A route of streams."""
    return replace(
        plain,
        module_type=draw(st.sampled_from([None, ModuleType.RTMP])),
        sources=draw(NETWORKS),
        destination_port=draw(PORTS),
        metadata=draw(LABELS),
        rtmp=draw(st.none() | _OPTIONS),
    )
