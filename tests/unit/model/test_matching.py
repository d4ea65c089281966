import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.matching import (
    Request,
    find_route,
    header_matches,
    host_matches,
    in_order,
    path_matches,
    query_matches,
    rank,
    request_matches,
    route_matches,
)
from marchproxy.model.overlap import ambiguous_pairs
from marchproxy.model.route import HeaderKind, HeaderMatch, PathKind, PathMatch, QueryMatch, Route, RouteMatch

EXACT, PREFIX, REGEX = PathKind.EXACT, PathKind.PREFIX, PathKind.REGEX
TEMPLATE = PathKind.TEMPLATE
X = (HeaderMatch("x", value="1"),)
V = QueryMatch("v", value="2")


def route(route_id, *hosts, path="/", kind=PREFIX, methods=(), headers=(), query=(), **more):
    return Route(route_id, RouteMatch(hosts, PathMatch(kind, path), methods, headers, query), **more)


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("shop.example", "shop.example", True),
        ("Shop.Example", "SHOP.example", True),
        ("shop.example", "a.shop.example", False),
        ("*.example", "shop.example", True),
        ("*.example", "a.b.example", True),  # any number of labels, as in the Gateway API
        ("*.example", "example", False),
        ("*.example", ".example", False),
        ("*.example", "shopexample", False),
        ("*", "anything", True),
        ("*", "", True),
    ],
)
def test_host_matches(pattern, host, expected):
    assert host_matches(pattern, host) is expected


@pytest.mark.parametrize(
    ("kind", "value", "path", "expected"),
    [
        (EXACT, "/a", "/a", True),
        (EXACT, "/a", "/a/", False),
        (EXACT, "/a", "/A", False),
        (PREFIX, "/a", "/a", True),
        (PREFIX, "/a", "/a/", True),
        (PREFIX, "/a", "/a/b", True),
        (PREFIX, "/a", "/ab", False),
        (PREFIX, "/a/", "/a", True),
        (PREFIX, "/a/", "/a/b", True),
        (PREFIX, "/", "/", True),
        (PREFIX, "/", "/a", True),
        (REGEX, "/v[0-9]+", "/v12", True),
        (REGEX, "/v[0-9]+", "/v12/x", False),  # the whole path
        (REGEX, "v", "/v1", False),
        (REGEX, "/a|/b", "/b", True),
        (TEMPLATE, "/a/{x}", "/a/b", True),
        (TEMPLATE, "/a/{x}", "/a/b/c", False),
    ],
)
def test_path_matches(kind, value, path, expected):
    assert path_matches(PathMatch(kind, value), path) is expected


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("kind", "value", "headers", "expected"),
    [
        (HeaderKind.EXACT, "1", {"x-a": "1"}, True),
        (HeaderKind.EXACT, "1", {"x-a": "12"}, False),
        (HeaderKind.EXACT, "a", {"x-a": "A"}, False),
        (HeaderKind.EXACT, "1", {}, False),
        (HeaderKind.PREFIX, "1", {"x-a": "12"}, True),
        (HeaderKind.PREFIX, "2", {"x-a": "12"}, False),
        (HeaderKind.PREFIX, "", {}, False),
        (HeaderKind.REGEX, "[0-9]+", {"x-a": "12"}, True),
        (HeaderKind.REGEX, "[0-9]", {"x-a": "12"}, False),
        (HeaderKind.REGEX, ".*", {}, False),
        (HeaderKind.PRESENT, "", {"x-a": ""}, True),
        (HeaderKind.PRESENT, "", {"x-b": "1"}, False),
    ],
)
def test_header_matches(kind, value, headers, expected, invert):
    assert header_matches(HeaderMatch("X-A", kind, value, invert), headers) is (expected != invert)


@pytest.mark.parametrize(
    ("candidate", "request_", "expected"),
    [
        (route("r"), Request("a"), True),
        (route("r", "a", "b"), Request("b"), True),
        (route("r", "a", "b"), Request("c"), False),
        (route("r", methods=("GET", "PUT")), Request("a", method="PUT"), True),
        (route("r", methods=("GET",)), Request("a", method="PUT"), False),
        (
            route("r", headers=(*X, HeaderMatch("y", HeaderKind.PRESENT))),
            Request("a", headers={"x": "1"}),
            False,
        ),
        (
            route("r", headers=(*X, HeaderMatch("y", HeaderKind.PRESENT))),
            Request("a", headers={"x": "1", "y": ""}),
            True,
        ),
        (route("r", path="/b"), Request("a", "/a"), False),
        (route("r", query=(V, QueryMatch("w", HeaderKind.PRESENT))), Request("a", query="w&v=2"), True),
        (route("r", query=(V, QueryMatch("w", HeaderKind.PRESENT))), Request("a", query="v=2"), False),
    ],
)
def test_request_matches_when_every_part_does(candidate, request_, expected):
    assert request_matches(candidate.match, request_) is expected


@pytest.mark.parametrize(
    ("kind", "value", "query", "expected"),
    [
        (HeaderKind.EXACT, "2", "v=2", True),
        (HeaderKind.EXACT, "2", "a=1&v=2&b", True),
        (HeaderKind.EXACT, "2", "v=1&v=2", False),  # the first counts
        (HeaderKind.EXACT, "2", "V=2", False),
        (HeaderKind.EXACT, "a b", "v=a%20b", False),  # not decoded
        (HeaderKind.EXACT, "", "v", True),
        (HeaderKind.EXACT, "", "", False),
        (HeaderKind.EXACT, "a=b", "v=a=b", True),
        (HeaderKind.PREFIX, "2", "v=23", True),
        (HeaderKind.REGEX, "[0-9]+", "v=23", True),
        (HeaderKind.REGEX, "[0-9]", "v=23", False),
        (HeaderKind.PRESENT, "", "v=", True),
        (HeaderKind.PRESENT, "", "w=v", False),
    ],
)
def test_query_matches(kind, value, query, expected):
    assert query_matches(QueryMatch("v", kind, value), query) is expected


@pytest.mark.parametrize(
    ("sources", "client", "expected"),
    [
        ((), "", True),
        ((), "10.0.0.1", True),
        (("10.0.0.0/8",), "10.0.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("0.0.0.0/0",), "", False),  # who is not known is in no network
    ],
)
def test_a_route_with_sources_is_there_for_these_clients(sources, client, expected):
    inside = route("inside", sources=sources, priority=1)
    assert route_matches(inside, Request("a", source=client)) is expected
    found = find_route([inside, route("all")], Request("a", source=client))
    assert found is not None
    assert found.route_id == ("inside" if expected else "all")


# Each list is in the order of precedence: https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
PRECEDENCE = [
    [route("z", priority=1), route("a", "a.b.example", path="/long", kind=EXACT)],
    [route("z", "a.b.example"), route("a", "*.b.example"), route("b", "*.example"), route("c", "*")],
    [route("z", "a.b.example"), route("a", path="/x", kind=EXACT, methods=("GET",), headers=X)],
    [route("z", path="/x", kind=EXACT), route("y", path="/[a-z]{1,9}", kind=REGEX), route("a", path="/x")],
    [
        route("z", path="/x/{a}/b", kind=TEMPLATE),
        route("y", path="/x/{a}/{longer}", kind=TEMPLATE),
        route("b", path="/x/**", kind=TEMPLATE),
        route("a", path="/x/.{1,9}/.{1,9}", kind=REGEX),
    ],
    [route("z", headers=X), route("y", query=(V, V)), route("x", query=(V,)), route("a")],
    [route("z", path="/x/y"), route("y", path="/x"), route("a", path="/", methods=("GET",), headers=X)],
    [route("z", methods=("GET",)), route("a", headers=(*X, *X))],
    [route("z", headers=(*X, HeaderMatch("y", value="1"))), route("y", headers=X), route("a")],
    [
        route("a"),
        route("b"),
    ],  # nothing but the id: such pairs are refused, but the order is total all the same
]


@pytest.mark.parametrize("expected", PRECEDENCE)
def test_order_of_precedence(expected):
    assert in_order(reversed(expected), "a.b.example") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.b.example", ["exact", "deep", "wide", "any"]),
        ("x.b.example", ["deep", "wide", "any"]),
        ("*.b.example", ["deep", "wide", "any"]),  # a wildcard: whatever covers all of it
        ("*.example", ["wide", "any"]),
        ("*", ["any"]),
        ("other", ["any"]),
        (None, ["exact", "deep", "wide", "any"]),
    ],
)
def test_routes_that_can_answer_for_a_host(host, expected):
    routes = [
        route("any"),
        route("wide", "*.example"),
        route("deep", "*.b.example"),
        route("exact", "a.b.example"),
    ]
    assert [item.route_id for item in in_order(routes, host)] == expected


def test_a_route_counts_with_the_best_of_its_hosts():
    both, deep = route("z", "*", "a.b.example"), route("a", "*.b.example")
    assert in_order([deep, both], "a.b.example") == [both, deep]
    assert in_order([deep, both], "x.b.example") == [deep, both]


HOSTS = st.lists(st.sampled_from(["a.b", "*.b", "*.a.b", "*", "c"]), unique=True, max_size=2).map(tuple)
PATHS = st.builds(PathMatch, st.sampled_from([EXACT, PREFIX]), st.sampled_from(["/", "/a", "/a/b"]))
PATHS |= st.builds(PathMatch, st.just(REGEX), st.sampled_from(["/a.*", "/[ab]", ".*b"]))
PATHS |= st.builds(PathMatch, st.just(TEMPLATE), st.sampled_from(["/a/*", "/{x}/b", "/{y}/**", "/{z}"]))
METHODS = st.lists(st.sampled_from(["GET", "PUT"]), unique=True, max_size=2).map(tuple)
HEADERS = st.builds(
    HeaderMatch,
    st.sampled_from(["x", "y"]),
    st.sampled_from([HeaderKind.EXACT, HeaderKind.PRESENT]),
    st.just("1"),
    st.booleans(),
)
ROUTES = st.builds(
    Route,
    st.sampled_from(["p", "q", "r", "s", "t", "u"]),
    st.builds(
        RouteMatch,
        HOSTS,
        PATHS,
        METHODS,
        st.lists(HEADERS, max_size=2).map(tuple),
        st.lists(st.builds(QueryMatch, st.sampled_from("vw"), value=st.sampled_from("12")), max_size=1).map(
            tuple
        ),
    ),
    priority=st.integers(0, 1),
    sources=st.sampled_from([(), (), ("10.0.0.0/8",), ("11.0.0.0/8",)]),
)
REQUESTS = st.builds(
    Request,
    st.sampled_from(["a.b", "x.a.b", "c", "d"]),
    st.sampled_from(["/", "/a", "/b", "/a/b", "/ab"]),
    st.sampled_from(["GET", "PUT"]),
    st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"])),
    st.sampled_from(["", "v=1", "v=2&w=1"]),
    st.sampled_from(["", "10.0.0.1", "11.0.0.1"]),
)
ROUTE_LISTS = st.lists(ROUTES, unique_by=lambda item: item.route_id, max_size=6)


@given(routes=ROUTE_LISTS, request=REQUESTS)
def test_find_route_agrees_with_brute_force(routes, request):
    ranked = [
        (rank(candidate, pattern), candidate)
        for candidate in routes
        for pattern in candidate.match.hosts or ("*",)
        if host_matches(pattern, request.host) and route_matches(candidate, request)
    ]
    best = min(ranked, key=lambda pair: pair[0], default=(None, None))[1]
    assert find_route(routes, request) == best


@given(routes=ROUTE_LISTS, request=REQUESTS, dice=st.randoms())
def test_the_order_of_the_document_never_decides(routes, request, dice: random.Random):
    shuffled = dice.sample(routes, len(routes))
    assert find_route(shuffled, request) == find_route(routes, request)


@given(routes=ROUTE_LISTS, request=REQUESTS)
def test_without_ambiguous_pairs_the_ids_never_decide(routes, request):
    refused = {second.route_id for _, second in ambiguous_pairs(routes)}
    sound = [item for item in routes if item.route_id not in refused]
    assert not list(ambiguous_pairs(sound))
    covering = {
        item.route_id: min(
            rank(item, pattern)[:-1]
            for pattern in item.match.hosts or ("*",)
            if host_matches(pattern, request.host)
        )
        for item in sound
        if route_matches(item, request)
    }
    winner = find_route(sound, request)
    if winner is not None:
        assert list(covering.values()).count(covering[winner.route_id]) == 1
