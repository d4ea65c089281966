"""Faults of what a route does with a request; each is told at its path in the document, and nothing else is."""

from dataclasses import replace

import pytest

from marchproxy.model.checks import check_routes
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
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import BackendRef, HeaderKind, PathKind, PathMatch, QueryMatch, Route, RouteMatch

POOLS = [BackendPool("p"), BackendPool("q")]
PLAIN = Route("r", backends=(BackendRef("p"),))
SILENT = replace(PLAIN, backends=())
ORIGIN = ("https://app.example",)


def route(**change):
    return replace(PLAIN, **change)


def at(kind, value, **change):
    return route(match=RouteMatch(path=PathMatch(kind, value)), **change)


def query(*arguments):
    return route(match=RouteMatch(query=(QueryMatch(*arguments),)))


def redirect(matched=None, **change):
    match = RouteMatch(path=matched) if matched else RouteMatch()
    return replace(SILENT, match=match, redirect=Redirect(**change))


def response(*arguments):
    return replace(SILENT, response=DirectResponse(*arguments))


def sets(*pairs):
    return route(request_headers=HeaderEdits(set=pairs))


TEMPLATE = PathMatch(PathKind.TEMPLATE, "/a/{id}")


@pytest.mark.parametrize(
    "sound",
    [
        PLAIN,
        SILENT,  # some other module's business
        at(PathKind.TEMPLATE, "/users/{id}/{rest=**}", rewrite=Rewrite(path="/{rest}/of/{id}")),
        at(PathKind.REGEX, "/v.*", rewrite=Rewrite(pattern="^/v([0-9])(/.*)", path="\\2/\\1\\\\")),
        at(PathKind.PREFIX, "/a", rewrite=Rewrite(path="/")),
        at(PathKind.EXACT, "/a", rewrite=Rewrite("b.example:8080", "/b")),
        redirect(scheme="https"),
        redirect(PathMatch(value="/old"), prefix="/new", code=301, strip_query=True),
        redirect(host="b.example", port=8443, path="/x", code=303),
        response(204),
        response(599, "ü" * 2048, "text/html"),
        route(
            request_headers=HeaderEdits((("x-a", "1 %\t2"), ("x-b", "")), (("Via", "ü"), ("via", "b")), ("x-a",))
        ),
        route(mirrors=(Mirror("p"), Mirror("q", 0.0))),
        route(cors=Cors(("*", "https://*.example", "http://localhost:3000"), ("PUT",), ("*",), max_age=0)),
        route(cors=Cors(ORIGIN, credentials=True)),
        route(sticky=Sticky(StickyKind.COOKIE, "s", 60.0)),
        route(sticky=Sticky(StickyKind.HEADER, "x-user")),
        route(sticky=Sticky(StickyKind.SOURCE)),
        route(allow=("10.0.0.0/8",), deny=("::1",), max_request_bytes=2**32 - 1, upgrades=("websocket", "spdy")),
        route(upgrades=()),
        query("a.b[]", HeaderKind.EXACT, "x=%20+/?"),
        query("a", HeaderKind.REGEX, "[0-9]+"),
        query("a", HeaderKind.PRESENT),
        route(protocol=Protocol.HTTPS, compression=True),
    ],
)  # fmt: skip
def test_sound_routes(sound):
    assert list(check_routes([sound], POOLS)) == []


FAULTS = [
    (route(redirect=Redirect("https")), ["redirect"], "a route has one answer, and backends is given already"),
    (route(response=DirectResponse(200)), ["response"], "one answer"),
    (replace(response(200), redirect=Redirect("https")), ["response"], "and redirect is given already"),
    (replace(response(200), rewrite=Rewrite("b"), mirrors=(Mirror("p"),), sticky=Sticky(StickyKind.SOURCE)), ["rewrite", "mirrors", "sticky"], "goes with backends; response does not ask any"),
    (at(PathKind.TEMPLATE, "/{a}x"), ["path"], "is not a segment"),
    (at(PathKind.TEMPLATE, "/**/x"), ["path"], "so it comes last"),
    (at(PathKind.TEMPLATE, "/a?b=*"), ["path", "path"], "a path ends before its query string"),
    (query("a b"), ["query[0].name"], '"a b" is not the name of a parameter'),
    (query(""), ["query[0].name"], "is not the name of a parameter"),
    (query("a", HeaderKind.EXACT, "b c"), ["query[0].exact"], "write %20 for a blank"),
    (query("a", HeaderKind.PREFIX, "b&c"), ["query[0].prefix"], "cannot stand in a query string"),
    (query("a", HeaderKind.REGEX, "("), ["query[0].regex"], "is not a regular expression"),
    (query("a", HeaderKind.PRESENT, "b"), ["query[0].present"], "compares no value"),
    (route(rewrite=Rewrite()), ["rewrite"], "changes nothing"),
    (route(rewrite=Rewrite("*.b")), ["rewrite.host"], '"*.b" is not a host name'),
    (route(rewrite=Rewrite("b:0")), ["rewrite.host"], 'port "0" is not between'),
    (route(rewrite=Rewrite(path="b")), ["rewrite.path"], "does not begin with /"),
    (route(rewrite=Rewrite(path="/b?c")), ["rewrite.path"], "ends before its query string"),
    (route(rewrite=Rewrite(path="/b\r\nx: y")), ["rewrite.path"], "a control character"),
    (at(PathKind.REGEX, "/a.*", rewrite=Rewrite(path="/b")), ["rewrite.path"], "is rewritten with pattern"),
    (route(rewrite=Rewrite(path="/{id}")), ["rewrite.path"], '"{id}" is not a name in the path\'s template'),
    (route(match=RouteMatch(path=TEMPLATE), rewrite=Rewrite(path="/{no}/{id}")), ["rewrite.path"], "; it has id"),
    (route(match=RouteMatch(path=TEMPLATE), rewrite=Rewrite(path="/{id")), ["rewrite.path"], "a brace is missing"),
    (route(rewrite=Rewrite(pattern="(", path="/")), ["rewrite.pattern"], "is not a regular expression"),
    (route(rewrite=Rewrite(pattern="/a")), ["rewrite.path"], "is needed"),
    (route(rewrite=Rewrite(pattern="(a)(b)", path="\\3")), ["rewrite.path"], "\\3: the pattern has 2 groups"),
    (route(rewrite=Rewrite(pattern="a", path="/\\x")), ["rewrite.path"], "after \\ comes the number of a group"),
    (route(rewrite=Rewrite(pattern="a", path="/\\")), ["rewrite.path"], "after \\ comes the number of a group"),
    (redirect(), ["redirect"], "leads back to the same place"),
    (redirect(strip_query=True), ["redirect"], "leads back to the same place"),
    (redirect(scheme="https", code=304), ["redirect.code"], "304 is not one of 301, 302, 303, 307, 308"),
    (redirect(scheme="ftp"), ["redirect.scheme"], '"ftp" is neither http nor https'),
    (redirect(host="a b"), ["redirect.host"], "is not a host name"),
    (redirect(port=65536), ["redirect.port"], "65536 is not between 0 and 65535"),
    (redirect(path="x"), ["redirect.path"], "does not begin with /"),
    (redirect(path="/a", prefix="/b"), ["redirect.prefix"], "and path are both given"),
    (redirect(PathMatch(PathKind.EXACT, "/a"), prefix="/b"), ["redirect.prefix"], "and the route matches exact"),
    (response(199), ["response.status"], "199 is not between 200 and 599"),
    (response(600), ["response.status"], "600 is not between"),
    (response(200, "ü" * 2049), ["response.body"], "4098 bytes are more than 4096"),
    (response(204, "x"), ["response.body"], "an answer of 204 has none"),
    (response(200, "", "text"), ["response.content_type"], '"text" is not a content type'),
    (response(200, "", "text/html\r\nx: y"), ["response.content_type", "response.content_type"], "no line breaks"),
    (sets(("x y", "1")), ["request_headers.set.x y"], '"x y" is not a header name'),
    (sets((":path", "/")), ["request_headers.set.:path"], "is not a header name"),
    (sets(("Host", "a")), ["request_headers.set.Host"], "is set with rewrite.host"),
    (sets(("Transfer-Encoding", "chunked")), ["request_headers.set.Transfer-Encoding"], "belongs to the connection"),
    (sets(("x", "1\r\ny: 2")), ["request_headers.set.x"], "no line breaks"),
    (sets(("x", "1\0")), ["request_headers.set.x"], "no line breaks and no other control characters"),
    (sets(("x", "1" * 4097)), ["request_headers.set.x"], "at most 4096 bytes"),
    (sets(("x", "1"), ("X", "2")), ["request_headers.set.X"], "the same header as x"),
    (route(response_headers=HeaderEdits(add=(("te", "x"),), remove=("Host", "x", "upgrade"))), ["response_headers.add.te", "response_headers.remove[0]", "response_headers.remove[2]"], "belongs to the connection"),
    (route(mirrors=(Mirror("p"), Mirror("no"))), ["mirrors[1].pool"], 'no pool "no"; known: p, q'),
    (route(mirrors=(Mirror("p"), Mirror("p"))), ["mirrors[1].pool"], "the same as routes[0].mirrors[0].pool"),
    (route(mirrors=(Mirror("p", 100.1),)), ["mirrors[0].percent"], "100.1 is not between 0 and 100"),
    (route(mirrors=(Mirror("p", float("nan")),)), ["mirrors[0].percent"], "nan is not between"),
    (route(cors=Cors(())), ["cors.origins"], "names nobody"),
    (route(cors=Cors(("*",), credentials=True)), ["cors.origins[0]"], "any site could use its visitors' credentials"),
    (route(cors=Cors((*ORIGIN, "https://a.example/"))), ["cors.origins[1]"], "is not an origin such as"),
    (route(cors=Cors(("a.example", "ftp://a", "https://*", "https://a:0", "https://a:", "null"))), [f"cors.origins[{n}]" for n in range(6)], "is not an origin"),
    (route(cors=Cors(ORIGIN, (), ("a b",), ("",))), ["cors.methods", "cors.headers[0]", "cors.expose_headers[0]"], "is not a name"),
    (route(cors=Cors(ORIGIN, max_age=-1)), ["cors.max_age"], "-1 is not between 0"),
    (route(sticky=Sticky(StickyKind.COOKIE)), ["sticky.name"], '"" is not the name of a cookie'),
    (route(sticky=Sticky(StickyKind.HEADER, "a b")), ["sticky.name"], "is not the name of a header"),
    (route(sticky=Sticky(StickyKind.SOURCE, "a")), ["sticky.name"], "a source has none"),
    (route(sticky=Sticky(StickyKind.HEADER, "a", 1.0)), ["sticky.ttl"], "is for cookies"),
    (route(sticky=Sticky(StickyKind.COOKIE, "a", -1.0)), ["sticky.ttl"], "-1.0 s is not between"),
    (route(allow=("10.0.0.0/33",), deny=("a",)), ["allow[0]", "deny[0]"], "is not an IP network"),
    (route(max_request_bytes=-1), ["max_request_bytes"], "-1 is not between 0"),
    (route(upgrades=("websocket", "websocket")), ["upgrades[1]"], "stands there twice"),
    (route(upgrades=("WebSocket", "connect", "h2c")), ["upgrades[0]", "upgrades[1]", "upgrades[2]"], "CONNECT is refused"),
    (
        Route("r", RouteMatch(query=(QueryMatch("a"),)), protocol=Protocol.TCP, compression=True, response=DirectResponse(1)),
        ["response", "compression", "query"],
        "is for HTTP; tcp has no such thing",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("faulty", "paths", "message"), FAULTS)
def test_each_fault_is_told_at_its_path(faulty, paths, message):
    problems = list(check_routes([faulty], POOLS))
    assert [problem.path for problem in problems] == [f"routes[0].{path}" for path in paths]
    assert any(message in problem.message for problem in problems), problems
