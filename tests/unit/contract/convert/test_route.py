"""Routes: the notations of the contract, defaults, and every problem of a message."""

import pytest
from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.convert import route_from_pb, route_to_pb, routes_from_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.http import Cors, DirectResponse, Mirror, Redirect
from marchproxy.model.module import Protocol
from marchproxy.model.problem import InvalidValue
from marchproxy.model.route import (
    BackendRef,
    HeaderKind,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
    RetryPolicy,
    Route,
    RouteMatch,
)

UNSPECIFIED = types_pb2.PATH_MATCH_KIND_UNSPECIFIED
EXACT = types_pb2.PATH_MATCH_KIND_EXACT
PREFIX = types_pb2.PATH_MATCH_KIND_PREFIX
REGEX = types_pb2.PATH_MATCH_KIND_REGEX
TEMPLATE = types_pb2.PATH_MATCH_KIND_TEMPLATE


@pytest.mark.parametrize(
    ("pattern", "kind", "expected"),
    [
        ("", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/")),
        ("*", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/")),
        ("/*", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/")),
        ("/", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/")),
        ("/api", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/api")),
        ("/api/", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/api/")),
        ("/api*", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/api")),
        ("/api/*", UNSPECIFIED, PathMatch(PathKind.PREFIX, "/api")),
        ("=/api", UNSPECIFIED, PathMatch(PathKind.EXACT, "/api")),
        ("=/api*", UNSPECIFIED, PathMatch(PathKind.EXACT, "/api*")),
        ("~/api/[0-9]*", UNSPECIFIED, PathMatch(PathKind.REGEX, "/api/[0-9]*")),
        ("/a*", PREFIX, PathMatch(PathKind.PREFIX, "/a*")),
        ("", PREFIX, PathMatch(PathKind.PREFIX, "/")),
        ("=/a", EXACT, PathMatch(PathKind.EXACT, "=/a")),
        ("~/a", REGEX, PathMatch(PathKind.REGEX, "~/a")),
        ("/a/{b}", TEMPLATE, PathMatch(PathKind.TEMPLATE, "/a/{b}")),
    ],
)
def test_path_notation(pattern, kind, expected):
    assert route_from_pb(types_pb2.Route(path_pattern=pattern, path_match=kind)).match.path == expected


@pytest.mark.parametrize(
    ("first", "rest", "expected"),
    [
        ("", [], ()),
        ("*", [], ()),
        ("a", [], ("a",)),
        ("a", ["b"], ("a", "b")),
        ("", ["b"], ("b",)),
        ("*", ["b"], ("b",)),
    ],
)
def test_hosts_and_sources_are_joined(first, rest, expected):
    route = route_from_pb(
        types_pb2.Route(destination_pattern=first, hosts=rest, source_pattern=first, sources=rest)
    )
    assert (route.match.hosts, route.sources) == (expected, expected)


@pytest.mark.parametrize(
    ("pb", "expected"),
    [
        ({"exact": ""}, HeaderMatch("x", HeaderKind.EXACT, "")),
        ({"prefix": "a"}, HeaderMatch("x", HeaderKind.PREFIX, "a")),
        ({"regex": "a+", "invert": True}, HeaderMatch("x", HeaderKind.REGEX, "a+", invert=True)),
        ({}, HeaderMatch("x", HeaderKind.PRESENT)),
        ({"invert": True}, HeaderMatch("x", HeaderKind.PRESENT, invert=True)),
        ({"present": True}, HeaderMatch("x", HeaderKind.PRESENT)),
        ({"present": False}, HeaderMatch("x", HeaderKind.PRESENT, invert=True)),
        ({"present": True, "invert": True}, HeaderMatch("x", HeaderKind.PRESENT, invert=True)),
        ({"present": False, "invert": True}, HeaderMatch("x", HeaderKind.PRESENT)),
    ],
)
def test_header_conditions(pb, expected):
    route = types_pb2.Route(header_matches=[types_pb2.HeaderMatch(name="x", **pb)])
    assert route_from_pb(route).match.headers == (expected,)


@pytest.mark.parametrize(
    ("pb", "expected"),
    [
        ({"exact": ""}, QueryMatch("v", HeaderKind.EXACT, "")),
        ({"prefix": "a"}, QueryMatch("v", HeaderKind.PREFIX, "a")),
        ({"regex": "a+"}, QueryMatch("v", HeaderKind.REGEX, "a+")),
        ({"present": True}, QueryMatch("v", HeaderKind.PRESENT)),
        ({}, QueryMatch("v", HeaderKind.PRESENT)),
    ],
)
def test_query_conditions(pb, expected):
    route = types_pb2.Route(query=[types_pb2.QueryMatch(name="v", **pb)])
    assert route_from_pb(route).match.query == (expected,)


@pytest.mark.parametrize(
    ("pb", "expected"),
    [
        ({"redirect": types_pb2.Redirect(scheme="https")}, {"redirect": Redirect("https")}),
        ({"response": types_pb2.DirectResponse(status=200)}, {"response": DirectResponse(200)}),
        ({"mirrors": [types_pb2.Mirror(pool="p")]}, {"mirrors": (Mirror("p"),)}),
        ({"mirrors": [types_pb2.Mirror(pool="p", percent=0)]}, {"mirrors": (Mirror("p", 0.0),)}),
        ({"cors": types_pb2.Cors(origins=["*"])}, {"cors": Cors(("*",))}),
        ({"cors": types_pb2.Cors(max_age=Duration())}, {"cors": Cors((), max_age=0)}),
        ({"upgrades": types_pb2.Upgrades()}, {"upgrades": ()}),
    ],
)
def test_what_is_left_out_of_a_feature_has_the_default(pb, expected):
    assert route_from_pb(types_pb2.Route(route_id="r", **pb)) == Route("r", **expected)


def test_edits_come_in_the_order_of_their_names():
    def pairs(*names):
        return [types_pb2.HeaderValue(name=name, value=str(at)) for at, name in enumerate(names)]

    pb = types_pb2.Route(request_headers=types_pb2.HeaderEdits(set=pairs("b", "a"), add=pairs("c", "a", "c")))
    edits = route_from_pb(pb).request_headers
    assert edits.set == (("a", "1"), ("b", "0"))
    assert edits.add == (("a", "1"), ("c", "0"), ("c", "2"))


def test_what_is_left_out_has_the_default():
    assert route_from_pb(types_pb2.Route(route_id="r")) == Route("r")


def test_zero_is_not_left_out():
    zero = types_pb2.Route(
        route_id="r", timeout=Duration(), idle_timeout=Duration(), retry=types_pb2.RetryPolicy()
    )
    route = route_from_pb(zero)
    assert (route.timeout, route.idle_timeout, route.retry.attempts) == (0.0, 0.0, 0)


def test_retries_without_conditions():
    asked = types_pb2.Route(retry=types_pb2.RetryPolicy(attempts=3))
    assert route_from_pb(asked).retry == RetryPolicy(attempts=3)
    never = route_to_pb(Route("r", retry=RetryPolicy(attempts=3, on=())))
    assert never.retry.attempts == 0


@pytest.mark.parametrize(
    ("weights", "expected"), [([0], [100]), ([50], [50]), ([0, 0], [0, 0]), ([-1, 101], [-1, 101])]
)
def test_a_single_backend_needs_no_weight(weights, expected):
    refs = [types_pb2.BackendRef(pool=f"p{index}", weight=weight) for index, weight in enumerate(weights)]
    route = route_from_pb(types_pb2.Route(backends=refs))
    assert [backend.weight for backend in route.backends] == expected


def test_a_route_of_the_oldest_clients_is_answered_in_their_fields():
    sent = types_pb2.Route(
        route_id="r",
        protocol=types_pb2.PROTOCOL_HTTP,
        source_pattern="10.0.0.0/8",
        destination_pattern="api.example.com",
        headers={"b": "2", "a": "1"},
        path_pattern="/v1",
        priority=7,
        metadata={"team": "x"},
    )
    answered = route_to_pb(route_from_pb(sent))
    for field in sent.DESCRIPTOR.fields:
        if field.number < 16:
            assert getattr(answered, field.name) == getattr(sent, field.name), field.name


def test_headers_that_a_map_would_reorder_are_kept_in_order():
    headers = (HeaderMatch("b", value="1"), HeaderMatch("a", value="2"), HeaderMatch("b", value="3"))
    pb = route_to_pb(Route("r", match=RouteMatch(headers=headers)))
    assert dict(pb.headers) == {"b": "1"}
    assert [item.name for item in pb.header_matches] == ["a", "b"]


def test_every_problem_is_reported():
    broken = types_pb2.Route(
        protocol=99,
        module_type=98,
        path_match=97,
        timeout=Duration(seconds=-1),
        idle_timeout=Duration(seconds=1, nanos=-1),
        retry=types_pb2.RetryPolicy(per_try_timeout=Duration(nanos=2_000_000_000)),
        tls=types_pb2.TlsMatch(server_names=["a"]),
        query=[types_pb2.QueryMatch(name="v", present=False)],
        cors=types_pb2.Cors(max_age=Duration(nanos=1)),
        sticky=types_pb2.Sticky(ttl=Duration(seconds=-1)),
    )
    with pytest.raises(InvalidValue) as raised:
        routes_from_pb([types_pb2.Route(), broken, types_pb2.Route(protocol=96)])
    assert [problem.path for problem in raised.value.problems] == [
        "routes[1].tls",
        "routes[1].path_match",
        "routes[1].query[0].present",
        "routes[1].protocol",
        "routes[1].module_type",
        "routes[1].timeout",
        "routes[1].idle_timeout",
        "routes[1].retry.per_try_timeout",
        "routes[1].cors.max_age",
        "routes[1].sticky.kind",
        "routes[1].sticky.ttl",
        "routes[2].protocol",
    ]


def test_a_sound_route():
    route = route_from_pb(
        types_pb2.Route(protocol=types_pb2.PROTOCOL_GRPC, backends=[types_pb2.BackendRef(pool="p")])
    )
    assert route.protocol is Protocol.GRPC
    assert route.backends == (BackendRef("p", 100),)
