"""Faults of routes of streams and of their pools; each is told at its path in the document, with a remedy."""

from dataclasses import replace

import pytest

from marchproxy.model.checks import check_authentication, check_limits, check_pools, check_routes
from marchproxy.model.database import DatabaseRoute
from marchproxy.model.http import Authentication, AuthenticationKind, Cors, Mirror
from marchproxy.model.limit import LimitUnit, RateLimit
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BackendPool, Discovery, Endpoint, HealthCheck, UpstreamTls
from marchproxy.model.route import BackendRef, PathMatch, RetryPolicy, Route, RouteMatch
from marchproxy.model.rtmp import (
    DEFAULT_LADDER,
    Duplicate,
    OriginPick,
    Packaging,
    RtmpPool,
    RtmpRoute,
    Rung,
    StreamLimits,
)

ONE = BackendPool("origins", protocol=Protocol.RTMP, endpoints=(Endpoint("a:1935"),))
TLS = replace(ONE, name="safe", protocol=Protocol.RTMPS, tls=UpstreamTls())
POOLS = [ONE, TLS, BackendPool("web"), BackendPool("db", protocol=Protocol.REDIS)]


def route(**change):
    return replace(Route("r", protocol=Protocol.RTMP), **change)


def streams(**options):
    return route(rtmp=RtmpRoute(**options))


def packaged(**options):
    return streams(packaging=Packaging(**options))


def pushed(*urls):
    return streams(push=urls)


@pytest.mark.parametrize(
    "sound",
    [
        route(),
        route(backends=(BackendRef("origins", 95), BackendRef("safe", 5)), module_type=ModuleType.RTMP),
        route(sources=("10.0.0.0/8",), destination_port=1935, priority=-1, metadata={"a": "b"}),
        streams(vhosts=("live.example", "*.b"), apps=("live", "a/*"), streams=("cam?", "Ü")),
        streams(publish=("keys",), duplicate=Duplicate.TAKEOVER),
        streams(limits=StreamLimits(1, 2, 3, 2**31 - 1), grace=0.0, stall=0.1, gop_cache=0, queue=2**16),
        pushed("rtmp://cdn.example/in/{stream}", "rtmps://[::1]:443/{vhost}/{app}/x?key=a%20b&n={stream}"),
        packaged(),
        packaged(hls=False, passthrough=False, rungs=DEFAULT_LADDER, linger=0.0),
        packaged(dash=False, rungs=(Rung(144, 1), Rung(4320, 200_000)), segment=0.5, window=3),
        packaged(origins=("https://a.example:8443", "https://*.b.example")),
    ],
)
def test_sound_routes(sound):
    assert list(check_routes([sound], POOLS)) == []


FAULTS = [
    (route(protocol=Protocol.RTMPS), ["protocol"], "write rtmp: such a route takes its streams by rtmps as well"),
    (route(protocol=Protocol.HLS, rtmp=RtmpRoute()), ["protocol"], "by hls as well"),
    (Route("r", rtmp=RtmpRoute()), ["rtmp"], "is for rtmp, not for http; set protocol"),
    (Route("r", protocol=Protocol.REDIS, rtmp=RtmpRoute()), ["rtmp"], "is for rtmp, not for redis"),
    (route(module_type=ModuleType.ALB), ["module"], "streams are for rtmp, not for alb; remove it"),
    (
        route(match=RouteMatch(("a",), PathMatch(value="/a"), ("GET",)), timeout=1.0, idle_timeout=1.0, retry=RetryPolicy(1),
              source_port=1, cors=Cors(("*",)), allow=("::1",), upgrades=()),
        ["hosts", "path", "methods", "timeout", "idle_timeout", "retry", "source_port", "cors", "allow", "upgrades"],
        "is for HTTP; rtmp has no such thing: remove it",
    ),
    (route(authentication=("keys",)), ["authentication"], "means nothing for streams: rtmp.publish and rtmp.play name ways"),
    (route(mirrors=(Mirror("origins"),), database=DatabaseRoute()), ["mirrors", "database"], "rtmp.push sends copies of streams"),
    (route(backends=(BackendRef("web"),)), ["backends[0].pool"], "web speaks http, the route rtmp; give both the same protocol"),
    (route(backends=(BackendRef("db"),)), ["backends[0].pool"], "db speaks redis, the route rtmp"),
    (route(backends=(BackendRef("no"),)), ["backends[0].pool"], 'no pool "no"'),
    (route(backends=(BackendRef("origins", 50),)), ["backends"], "the weights add up to 50"),
    (Route("r", backends=(BackendRef("safe"),)), ["backends[0].pool"], "safe speaks rtmps, the route http"),
    (streams(vhosts=("",), apps=("a", "a"), streams=("a\n",)), ["rtmp.vhosts[0]", "rtmp.apps[1]", "rtmp.streams[0]"], "1 to 256 characters"),
    (streams(vhosts=("Live.example",)), ["rtmp.vhosts[0]"], 'write it in lower case: "live.example"'),
    (streams(vhosts=("h/live",), streams=("eu/cam",)), ["rtmp.vhosts[0]", "rtmp.streams[0]"], '"eu/cam": what stands before a / is the app; name it in apps'),
    (streams(duplicate=Duplicate.TAKEOVER), ["rtmp.duplicate"], "anybody could take a stream over"),
    (streams(stall=0.0, grace=-1.0), ["rtmp.stall", "rtmp.grace"], "0.0 s is not more than 0"),
    (streams(gop_cache=-1, queue=0), ["rtmp.gop_cache", "rtmp.queue"], "0 is not between 65536 and 268435456 bytes"),
    (streams(limits=StreamLimits(-1, -1, -1, -1)), [f"rtmp.limits.{key}" for key in ("streams", "players", "players_per_stream", "bitrate")], "-1 is not between"),
    (packaged(hls=False, dash=False), ["rtmp.packaging"], "makes neither HLS nor DASH"),
    (packaged(passthrough=False), ["rtmp.packaging.rungs"], "nothing would be left to watch"),
    (packaged(segment=0.4, window=2, linger=-1.0), ["rtmp.packaging.segment", "rtmp.packaging.window", "rtmp.packaging.linger"], "0.4 s is not between 0.5 and 30"),
    (packaged(segment=float("nan")), ["rtmp.packaging.segment"], "nan s is not between"),
    (packaged(origins=()), ["rtmp.packaging.origins"], "names nobody"),
    (packaged(origins=("a.example",)), ["rtmp.packaging.origins[0]"], '"a.example" is not an origin such as'),
    (packaged(rungs=(Rung(721, 1), Rung(142, 1), Rung(4322, 1))), [f"rtmp.packaging.rungs[{n}].height" for n in range(3)], "721 is not an even number of lines between 144 and 4320"),
    (packaged(rungs=(Rung(720, 0), Rung(480, 200_001))), [f"rtmp.packaging.rungs[{n}].video_rate" for n in range(2)], "0 is not between 1 and 200000 kbit/s"),
    (packaged(rungs=(Rung(720, 1), Rung(720, 2))), ["rtmp.packaging.rungs[1].height"], "the same as"),
    (packaged(rungs=tuple(Rung(144 + 2 * n, 1) for n in range(9))), ["rtmp.packaging.rungs"], "9 are more than 8"),
    (pushed(*(f"rtmp://h/a/{n}" for n in range(17))), ["rtmp.push"], "17 are more than 16"),
    (pushed("rtmp://h/a/b", "rtmp://h/a/b"), ["rtmp.push[1]"], "stands there twice"),
    (pushed("http://h/a/b", "h/a/b", "rtmp:///a/b", "rtmp://[h/a/b", "rtmp://h:0/a/b", "rtmp://h:x/a/b", "rtmp://*/a/b", "rtmp://{vhost}/a/b"),
     [f"rtmp.push[{n}]" for n in range(8)], "is not a URL of rtmp or rtmps, such as rtmp://host/app/{stream}"),
    (pushed("rtmp://user:word@h/a/b"), ["rtmp.push[0]"], "has a user in it"),
    (pushed("rtmp://h/a", "rtmp://h/a/?x"), ["rtmp.push[0]", "rtmp.push[1]"], "names no app or no stream"),
    (pushed("rtmp://h/a/{name}", "rtmp://h/a/b?{", "rtmp://h/a/b c"), [f"rtmp.push[{n}]" for n in range(3)], "{name} is nothing that is replaced; there are {vhost}, {app}, {stream}"),
]  # fmt: skip


@pytest.mark.parametrize(("faulty", "paths", "message"), FAULTS)
def test_each_fault_is_told_at_its_path(faulty, paths, message):
    problems = list(check_routes([faulty], POOLS))
    assert sorted(problem.path for problem in problems) == sorted(f"routes[0].{path}" for path in paths)
    assert any(message in problem.message for problem in problems), problems


def test_a_key_in_a_url_is_not_told():
    (problem,) = check_routes([pushed("rtmp://h/s3cret")], POOLS)
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize(
    "sound",
    [
        ONE,
        TLS,
        replace(ONE, endpoints=(), discovery=Discovery(dns="origins.example:1935")),
        replace(
            ONE,
            rtmp=RtmpPool(OriginPick.LEAST_BITRATE, "a/b", hide_query=False, proxy_protocol=2, window=4096),
        ),
        replace(ONE, health_check=HealthCheck()),
    ],
)
def test_sound_pools(sound):
    assert list(check_pools([sound])) == []


@pytest.mark.parametrize(
    ("faulty", "path", "message"),
    [
        (BackendPool("p", rtmp=RtmpPool()), "rtmp", "origins are spoken to by rtmp and rtmps, not by http; set protocol"),
        (BackendPool("p", protocol=Protocol.HLS), "protocol", "not by hls"),
        (replace(ONE, endpoints=()), "endpoints", "needs their addresses"),
        (replace(TLS, tls=None), "tls", "is needed with rtmps; `tls: {}` has all defaults"),
        (replace(ONE, tls=UpstreamTls()), "tls", "goes with protocol: rtmps"),
        (replace(ONE, health_check=HealthCheck(path="/")), "health_check.path", "is for HTTP; rtmp has no such thing"),
        (replace(ONE, rtmp=RtmpPool(app="a?b")), "rtmp.app", '"a?b" is no app: a query is not part of it'),
        (replace(ONE, rtmp=RtmpPool(app="/a")), "rtmp.app", '"/a" is no app: the app has a segment that is empty'),
        (replace(ONE, rtmp=RtmpPool(proxy_protocol=3)), "rtmp.proxy_protocol", "3 is no version: 1 or 2"),
        (replace(ONE, rtmp=RtmpPool(window=4095)), "rtmp.window", "4095 is not between 4096 and"),
    ],
)  # fmt: skip
def test_each_fault_of_a_pool_is_told_at_its_path(faulty, path, message):
    (problem,) = check_pools([faulty])
    assert problem.path == f"pools[0].{path}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("first", "second", "ambiguous"),
    [
        ({}, {}, True),
        ({"apps": ("live",)}, {}, False),  # the one that says more goes first
        ({"apps": ("live",)}, {"streams": ("a",)}, True),
        ({"apps": ("live",)}, {"apps": ("vod",)}, False),
        ({"apps": ("live*",)}, {"apps": ("*eu",)}, True),
        ({"vhosts": ("a",), "apps": ("x",)}, {"vhosts": ("b",), "apps": ("x",)}, False),
    ],
)
def test_routes_that_one_stream_could_take(first, second, ambiguous):
    routes = [replace(streams(**options), route_id=f"r{n}") for n, options in enumerate((first, second))]
    problems = list(check_routes(routes, POOLS))
    assert [problem.path for problem in problems] == ["routes[1].priority"] * ambiguous
    assert not list(check_routes([routes[0], replace(routes[1], priority=1)], POOLS))


KEYS = Authentication("keys", AuthenticationKind.STREAM_KEYS, "/keys")
SIGNED = Authentication("signed", AuthenticationKind.SIGNED, "/secret")
ASKED = Authentication("asked", AuthenticationKind.CALLBACK, url="https://a.example/streams")
STAFF = Authentication("staff", AuthenticationKind.BASIC, "/htpasswd")
WAYS = [KEYS, SIGNED, ASKED, STAFF]


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (streams(publish=("keys", "signed"), play=("asked",)), []),
        (streams(publish=("kyes",)), ['rtmp.publish[0]: no authentication "kyes"; known: asked, keys, signed, staff']),
        (streams(play=("keys", "keys")), ['rtmp.play[1]: "keys" stands there twice']),
        (streams(publish=("staff",)), ['rtmp.publish[0]: "staff" is basic, which is for HTTP, not for rtmp']),
        (Route("r", authentication=("keys",)), ['authentication[0]: "keys" is stream_keys, which is for rtmp, not for http']),
        (Route("r", protocol=Protocol.REDIS, authentication=("asked",)), ['authentication[0]: "asked" is callback, which is for rtmp, not for redis']),
    ],
)  # fmt: skip
def test_ways_that_routes_name(one, told):
    assert [str(problem) for problem in check_authentication(WAYS, [one], [])] == [
        f"routes[0].{fault}" for fault in told
    ]


@pytest.mark.parametrize(
    ("way", "path", "message"),
    [
        (replace(KEYS, file=""), "file", "is needed: the absolute path of a file"),
        (replace(SIGNED, file="secret"), "file", "is not the absolute path"),
        (replace(SIGNED, url="https://a"), "url", "is for callback, not for signed"),
        (replace(STAFF, timeout=1.0), "timeout", "is for callback, not for basic"),
        (replace(ASKED, url="a.example"), "url", "is not a URL such as https://auth.example/streams"),
        (replace(ASKED, timeout=31.0), "timeout", "31 s is not more than 0 and at most 30"),
        (replace(ASKED, timeout=0.0), "timeout", "0 s is not more than 0"),
        (replace(ASKED, file="/f"), "file", "not for callback"),
        (replace(KEYS, forward_header="x"), "forward_header", "not for stream_keys"),
    ],
)
def test_each_fault_of_a_way_is_told_at_its_path(way, path, message):
    (problem,) = check_authentication([way], [], [])
    assert problem.path == f"authentication[0].{path}"
    assert message in problem.message


COMERS = RateLimit("l", "r", 1, counts=LimitUnit.CONNECTIONS)


@pytest.mark.parametrize(
    ("limit", "path"),
    [
        (COMERS, None),
        (replace(COMERS, per="client", max_concurrent=1), None),
        (replace(COMERS, target="*"), None),
        (RateLimit("l", "r", max_concurrent=1), None),
        (RateLimit("l", "r", 1), "counts"),
        (replace(COMERS, per="user"), "per"),
        (replace(COMERS, per="header:x"), "per"),
        (replace(COMERS, target="*", per="user"), "per"),
    ],
)
def test_limits_of_streams(limit, path):
    problems = list(check_limits([limit], [route(), Route("web")], []))
    assert [problem.path for problem in problems] == [f"rate_limits[0].{path}"] * (path is not None)
