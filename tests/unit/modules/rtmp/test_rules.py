"""What the module cannot do, what it takes, which route it is, and whether there is room."""

from dataclasses import replace

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.live_stream import StreamReport
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import Route
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.modules.rtmp.load import Load, load_of
from marchproxy.modules.rtmp.rules import Plans, answer, faults

STATE = decode(b"""
authentication:
  - {name: keys, kind: stream_keys, file: /keys}
  - {name: tokens, kind: signed, file: /secret}
pools:
  - {name: blue, protocol: rtmp, endpoints: ["a:1"]}
  - {name: green, version: v2, protocol: rtmps, tls: {}, endpoints: ["b:1"]}
  - {name: web}
routes:
  - id: live
    protocol: rtmp
    priority: 5
    backends: [{pool: blue, weight: 90}, {pool: green, weight: 10}]
    rtmp: {apps: [live], publish: [keys, tokens], duplicate: takeover, push: ["rtmp://cdn/a/{stream}"], limits: {streams: 2, players: 3, bitrate: 6000}}
  - id: studio
    protocol: rtmp
    rtmp: {vhosts: ["*.example"], apps: ["studio/*"], streams: ["cam?"], play: [tokens], packaging: {dash: false, rungs: default}}
  - {id: inside, protocol: rtmp, sources: [10.0.0.0/8], destination_port: 1936}
  - {id: page, backends: [web]}
rate_limits:
  - {id: calm, target: live, counts: connections, requests_per_second: 1}
  - {id: off, target: live, per: client, max_concurrent: 10, enabled: false}
  - {id: all, target: "*", requests_per_second: 100}
""")
PLAN = Plans().of(STATE)
SERVED = frozenset({Protocol.RTMP, Protocol.HLS, Protocol.DASH})
STUDIO = {"vhost": "A.example", "app": "studio/x", "stream": "cam1"}


def ask(protocol=Protocol.RTMP, name="", **options):
    return Route(name, protocol=protocol, rtmp=RtmpRoute(**options))


@pytest.mark.parametrize(
    ("route", "context", "found", "words"),
    [
        (ask(), {"app": "live", "stream": "a"}, "live", 'route "live", apps live takes app live, stream a'),
        (ask(apps=("l*", "live")), {}, "live", "takes app live"),
        (ask(apps=("live",)), STUDIO, "studio", "streams cam?, hosts *.example takes host a.example, app studio/x, stream cam1"),
        (ask(), STUDIO | {"stream": "cam12"}, "", "no route for host a.example, app studio/x, stream cam12"),
        (ask(), {"client": "10.1.2.3", "port": "1936"}, "inside", "clients of 10.0.0.0/8, port 1936 takes client 10.1.2.3"),
        (ask(), {"client": "10.1.2.3", "port": "x"}, "", "no route for client 10.1.2.3"),
        (ask(Protocol.HLS), STUDIO, "studio", "takes host a.example"),
        (ask(Protocol.DASH), STUDIO, "", 'route "studio" packages no DASH'),
        (ask(Protocol.HLS), {"app": "live", "stream": "a"}, "", 'route "live" packages no HLS'),
        (ask(name="inside", apps=("live",)), {}, "inside", "its route of that id"),
        (ask(Protocol.RTMPS), {"app": "live"}, "", "no port for rtmps is open here"),
        (ask(Protocol.HTTP), {}, "", "an RTMP module serves streams, not http"),
        (replace(ask(), module_type=ModuleType.ALB), {}, "", "the route is meant for alb"),
    ],
)  # fmt: skip
def test_which_route_takes_a_stream(route, context, found, words):
    verdict = answer(PLAN, SERVED, route, context)
    assert (verdict.can_handle, verdict.details.get("route_id", "")) == (bool(found), found)
    assert words in verdict.reason


def test_a_listener_as_a_whole():
    verdict = answer(PLAN, SERVED, Route("", protocol=Protocol.RTMP), {})
    assert (verdict.can_handle, verdict.reason, verdict.details) == (True, "serves rtmp", {"routes": "3"})
    assert answer(PLAN, SERVED, replace(ask(), destination_port=1935), {"explain": "true"}) == verdict
    assert answer(PLAN, SERVED, ask(Protocol.HLS), {}, Load(sent=9, bandwidth=9)).can_handle
    assert not answer(PLAN, frozenset(), ask(), {}).can_handle


def test_what_is_told_of_the_route():
    verdict = answer(PLAN, SERVED, ask(), {"app": "live"})
    assert verdict.priority == 5
    assert verdict.details == {
        "route_id": "live",
        "match": 'route "live", apps live',
        "pools": "blue (v1) 90 %, green (v2) 10 %",
        "publish": "keys or tokens",
        "play": "everybody",
        "duplicate": "takes over from the publisher before",
        "push": "copies to 1 more",
        "limits": "2 streams, 3 players, 6000 kbit/s of each stream",
        "rate_limits": "calm",
    }
    studio = answer(PLAN, SERVED, ask(name="studio"), {}, Load(sent=400.4, bandwidth=1000)).details
    assert (studio["origin"], studio["free_bandwidth"]) == ("the module itself", "600")
    assert (
        studio["packaging"]
        == "HLS of the source, 1080 lines, 720 lines, 480 lines, 360 lines, while somebody watches"
    )


STREAMS = (
    StreamReport("/live/a", "live", origin="a:1", bitrate=1000.0, players=2, pushes=("ok cdn",)),
    StreamReport("/live/b", "live", bitrate=500.0, players=1, viewers=3),
)


def test_the_load_that_streams_are():
    assert load_of(STREAMS, 7000) == Load(
        {"live": frozenset({"/live/a", "/live/b"})}, {"live": 3}, 6000.0, 7000
    )
    assert load_of(STREAMS, 7000).free == 1000
    assert load_of(STREAMS, 5000).free == 0
    assert load_of(STREAMS, 0).free is load_of((), 0).free is None


@pytest.mark.parametrize(
    ("context", "bandwidth", "words"),
    [
        ({"vhost": "h", "stream": "a"}, 0, ""),
        ({"vhost": "h", "stream": "c"}, 0, "has its 2 streams"),
        ({"vhost": "h", "stream": "a", "action": "play"}, 0, "has its 3 players"),
        ({"vhost": "h", "stream": "a", "bitrate": "6000"}, 0, ""),
        ({"vhost": "h", "stream": "a", "bitrate": "6001"}, 0, "lets a stream have 6000 kbit/s, not 6001"),
        ({"vhost": "h", "stream": "a", "bitrate": "1001"}, 7000, "has 1000 kbit/s left of the 7000 that may be sent"),
        ({"vhost": "h", "stream": "a", "bitrate": "1000"}, 7000, ""),
        ({"vhost": "h", "stream": "a"}, 6000, "has 0 kbit/s left"),
        ({"vhost": "h", "stream": "a", "bitrate": "-1"}, 7000, ""),
    ],
)  # fmt: skip
def test_whether_there_is_room(context, bandwidth, words):
    verdict = answer(PLAN, SERVED, ask(apps=("live",)), context, load_of(STREAMS, bandwidth))
    assert verdict.can_handle == (not words)
    assert words in verdict.reason


def test_the_plan_of_a_state_is_made_once():
    plans = Plans()
    assert plans.of(STATE) is plans.of(STATE)
    assert not plans.of(replace(STATE, routes=())).routes


def test_nothing_is_wrong_with_what_the_module_can_do():
    assert list(faults(STATE)) == []


@pytest.mark.parametrize(
    ("pool", "path", "message"),
    [
        ("discovery: {srv: _a._tcp.b}", "discovery.srv", "does not look for origins; list them"),
        (
            "breakers: {max_requests: 5}",
            "breakers",
            "means nothing for origins: it is for HTTP; limits of the routes",
        ),
        ("balance: random", "balance", "rtmp.pick says which origin"),
        ("slow_start: 1s", "slow_start", "remove it"),
        ("hash_table: ring", "hash_table", "remove it"),
    ],
)
def test_what_the_module_cannot_do(pool, path, message):
    pools = f"pools: [{{name: p, protocol: rtmp, endpoints: ['a:1'], {pool}}}]"
    (problem,) = faults(decode(f"{pools}\nroutes: [{{id: r, protocol: rtmp, backends: [p]}}]".encode()))
    assert problem.path == f"pools[0].{path}"
    assert message in problem.message
    assert not list(faults(decode(pools.encode())))
