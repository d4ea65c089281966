import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.module import Protocol
from marchproxy.model.overlap import ambiguous_pairs, near
from marchproxy.model.pattern import literal_prefix
from marchproxy.model.route import HeaderKind, HeaderMatch, PathKind, PathMatch, QueryMatch, Route, RouteMatch

EXACT, PREFIX, REGEX = PathKind.EXACT, PathKind.PREFIX, PathKind.REGEX
TEMPLATE = PathKind.TEMPLATE


def route(*, hosts=(), path="/", kind=PREFIX, methods=(), headers=(), query=(), **more):
    return Route("", RouteMatch(hosts, PathMatch(kind, path), methods, headers, query), **more)


def template(path):
    return route(path=path, kind=TEMPLATE)


def named(routes):
    return [
        Route(f"r{n}", item.match, **{f: getattr(item, f) for f in FIELDS}) for n, item in enumerate(routes)
    ]


FIELDS = ("priority", "protocol", "listeners", "source_port", "destination_port", "sources")


def x(value="1", kind=HeaderKind.EXACT, *, name="x", invert=False):
    return (HeaderMatch(name, kind, value, invert),)


def v(value="1", kind=HeaderKind.EXACT, *, name="v"):
    return (QueryMatch(name, kind, value),)


OVERLAP = [
    (route(), route()),
    (route(hosts=("a", "b")), route(hosts=("B", "c"))),
    (route(), route(hosts=("*",))),
    (route(path="/a"), route(path="/a/")),
    (route(methods=("GET", "PUT")), route(methods=("PUT",))),
    (route(headers=x()), route(headers=x(name="y"))),
    (route(headers=x()), route(headers=x("1.*", HeaderKind.REGEX))),
    (route(headers=x()), route(headers=x("2", invert=True))),
    (route(listeners=("a", "b")), route(listeners=("b", "c"))),
    (route(listeners=("a",)), route()),
    (route(source_port=1), route()),
    (route(destination_port=1), route()),
    (route(path="/a.*", kind=REGEX), route(path="/[ab]", kind=REGEX)),
    (route(path="/a.*", kind=REGEX), route(path="/ab.*", kind=REGEX)),
    (route(query=v()), route(query=v(name="w"))),
    (route(query=v()), route(query=v("1.*", HeaderKind.REGEX))),
    (route(sources=("10.0.0.0/8",)), route()),
    (route(sources=("10.0.0.0/8",)), route(sources=("10.1.0.0/16", "::/0"))),
    (template("/a/{x}"), template("/a/{other}")),
    (template("/a/{x}"), template("/{y}/b")),
    (template("/a/{x=**}"), template("/a/**")),
]
NO_OVERLAP = [
    (route(priority=1), route()),
    (route(protocol=Protocol.TCP), route()),
    (route(hosts=("a",)), route(hosts=("b",))),
    (route(hosts=("a",)), route(hosts=("*",))),  # the more specific host wins
    (route(path="/a"), route(path="/b")),
    (route(path="/a"), route(path="/a", kind=EXACT)),
    (route(path="/a", kind=EXACT), route(path="/a/", kind=EXACT)),
    (route(methods=("GET",)), route(methods=("PUT",))),
    (route(methods=("GET",)), route()),
    (route(headers=x()), route(headers=x("2", name="X"))),
    (route(headers=x()), route(headers=x(invert=True))),
    (route(headers=x()), route(headers=(*x(), *x(name="y")))),
    (route(listeners=("a",)), route(listeners=("b",))),
    (route(source_port=1), route(source_port=2)),
    (route(destination_port=1), route(destination_port=2)),
    (route(path="/a/[0-9]", kind=REGEX), route(path="/b/[0-9]", kind=REGEX)),
    (route(path="/shop-[0-9]", kind=REGEX), route(path="/shot-[0-9]", kind=REGEX)),
    (route(path="/t1/.*", kind=REGEX), route(path="/t10/.*", kind=REGEX)),
    (route(path="/shop-a[0-9]", kind=REGEX), route(path="/shop-b[0-9]", kind=REGEX)),
    (route(query=v()), route(query=v("2"))),
    (route(query=v()), route(query=(*v(), *v(name="w")))),
    (route(query=v()), route(headers=x())),
    (route(sources=("10.0.0.0/8",)), route(sources=("11.0.0.0/8", "::/0"))),
    (template("/a/{x}"), template("/b/{x}")),
    (template("/a/{x}"), template("/a/{x}/b")),
    (template("/a/*"), template("/a/**")),
    (template("/a/{x}"), route(path="/a/[a-z]+", kind=REGEX)),
]


@pytest.mark.parametrize(
    ("routes", "ambiguous"), [(pair, True) for pair in OVERLAP] + [(pair, False) for pair in NO_OVERLAP]
)
def test_pairs(routes, ambiguous):
    first, second = named(routes)
    assert list(ambiguous_pairs([first, second])) == [(first, second)] * ambiguous
    assert list(ambiguous_pairs([second, first])) == [(second, first)] * ambiguous


@pytest.mark.parametrize(("first", "second"), OVERLAP)
def test_whatever_overlaps_is_near(first, second):
    assert near([first])(second)
    assert near([second, route(path="/elsewhere")])(first)


@pytest.mark.parametrize(
    "other", [route(priority=1), route(hosts=("a",)), route(path="/b"), route(kind=EXACT)]
)
def test_what_differs_in_priority_host_or_path_is_not_near(other):
    assert not near([route()])(other)


def test_each_route_is_told_once_with_the_first_it_ties_with():
    routes = named([route(hosts=("a", "b"))] * 4 + [route(hosts=("c",))])
    assert list(ambiguous_pairs(routes)) == [(routes[0], other) for other in routes[1:4]]


METHODS = st.lists(st.sampled_from(["GET", "PUT", "POST"]), unique=True, min_size=1, max_size=2).map(tuple)
HEADERS = st.lists(
    st.builds(
        HeaderMatch,
        st.sampled_from("xyX"),
        st.sampled_from([HeaderKind.EXACT, HeaderKind.PREFIX]),
        st.sampled_from("12"),
        st.booleans(),
    ),
    min_size=1,
    max_size=1,
).map(tuple)
PATHS = st.sampled_from([r"/a/[0-9]", r"/a/b/[0-9]", r"/ab?", r".*", r"/a|/b", r"/b\.c+"])
PORTS = st.sampled_from([0, 0, 1, 2])
LISTENERS = st.lists(st.sampled_from("abc"), unique=True, max_size=2).map(tuple)
ALIKE = st.builds(
    lambda path, methods, headers, listeners, port: route(
        path=path, kind=REGEX, methods=methods, headers=headers, listeners=listeners, destination_port=port
    ),
    PATHS, METHODS, HEADERS, LISTENERS, PORTS,
)  # fmt: skip


@given(routes=st.lists(ALIKE, max_size=12))
def test_a_crowd_is_judged_as_its_pairs_are(routes):
    routes = named(routes)
    expected = {
        second.route_id
        for index, second in enumerate(routes)
        for first in routes[:index]
        if list(ambiguous_pairs([first, second]))
    }
    pairs = list(ambiguous_pairs(routes))
    assert {second.route_id for _, second in pairs} == expected
    assert len(pairs) == len(expected)
    assert all(list(ambiguous_pairs(pair)) for pair in pairs)


CROWDS = {
    "prefixes": lambda n: route(hosts=("a",), path=f"/p{n}"),
    "alike": lambda n: route(hosts=("a",)),
    "tenants by header": lambda n: route(headers=x(str(n))),
    "regexes by segment": lambda n: route(path=f"/api/t{n}/[0-9]+", kind=REGEX),
    "regexes within a segment": lambda n: route(path=f"/t{n:05}[a-z]+", kind=REGEX),
    "tenants by parameter": lambda n: route(query=v(str(n))),
    "templates by segment": lambda n: template(f"/api/t{n:05}/{{id}}"),
    "regexes alike": lambda n: route(path=f".*/t{n}", kind=REGEX),
}


@pytest.mark.parametrize("make", CROWDS.values(), ids=CROWDS)
def test_a_crowd_is_not_compared_pair_by_pair(make, monkeypatch):
    compared = 0

    def count(*routes):
        nonlocal compared
        compared += 1
        return tie(*routes)

    tie = ambiguous_pairs.__globals__["_tie"]
    monkeypatch.setitem(ambiguous_pairs.__globals__, "_tie", count)
    list(ambiguous_pairs(named(make(n) for n in range(2000))))
    assert compared < 2000 * 20  # all pairs would be 2,000,000


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/shop/[0-9]+", "/shop/"),
        ("^/shop", "/shop"),
        (r"/a\.b/\d", "/a.b/"),
        ("/ab*", "/a"),
        ("/ab?c", "/a"),
        ("/ab{0,2}", "/a"),
        ("/ab+", "/ab"),
        ("/a(b|c)", "/a"),
        ("/a|/b", ""),
        ("/(a)|/b", ""),
        (r"/a\|b", "/a|b"),
        ("/a[|]b", ""),  # in doubt
        ("(?i)/a", ""),
        (".*", ""),
        ("", ""),
    ],
)
def test_literal_prefix(pattern, expected):
    assert literal_prefix(pattern) == expected


TEXTS = ["".join(letters) for length in range(5) for letters in product("/ab|", repeat=length)]


@given(
    pattern=st.text("/ab.*+?|()[]\\^{}0,$", max_size=8)
    | st.sampled_from([r"/a\|/?b", "/(a|b)+", "/ab{0,1}|/"])
)
@pytest.mark.filterwarnings(
    "ignore:Possible:FutureWarning"
)  # `[[`, of which Python wants to make more one day
def test_everything_matched_begins_with_the_literal_prefix(pattern):
    try:
        compiled = re.compile(pattern)
    except re.error:
        return
    prefix = literal_prefix(pattern)
    assert not [text for text in TEXTS if compiled.fullmatch(text) and not text.startswith(prefix)]
