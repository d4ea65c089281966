import pytest

from marchproxy.contract.document import decode
from marchproxy.contract.fleet.explaining.actions import action_lines, refusal
from marchproxy.contract.fleet.explaining.question import Question
from marchproxy.model.route import Route

QUESTION = Question("http", "shop.example", 80, "/api/x", query="q=1")
POOLS = "pools: [{name: shop, ai: {}}, {name: shop-v2, ai: {}}]\nguardrails: [{name: g, kind: injection}]\nauthentication: [{name: staff, kind: basic, file: /f}]\n"


def route(text: str) -> Route:
    return decode(f"{POOLS}routes: [{{id: r, path: /api, {text}}}]".encode()).routes[0]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("backends: [shop]", []),
        ("redirect: {scheme: https}", ["answers 308: https://shop.example/api/x?q=1"]),
        (
            "redirect: {host: b.example, port: 81, prefix: /new, code: 302, strip_query: true}",
            ["answers 302: http://b.example:81/new/x"],
        ),
        ("redirect: {path: /gone}", ["answers 308: http://shop.example/gone?q=1"]),
        ("response: {status: 410, body: 'gó'}", ["answers 410 by itself, 3 bytes of text/plain; charset=utf-8"]),
        ("backends: [shop], rewrite: {path: /}", ["asks the backend for /x"]),
        ("backends: [shop], rewrite: {host: in.side}", ["asks the backend for /api/x of in.side"]),
        (
            "backends: [shop], request_headers: {set: {b: '1'}, add: {c: '2'}, remove: [a]}",
            ["edits request headers: -a; b: 1; +c: 2"],
        ),
        ("backends: [shop], mirrors: [{pool: shop-v2, percent: 2.5}]", ["sends a copy of 2.5 % to pool shop-v2"]),
        ("backends: [shop], cors: {origins: ['*']}", ["answers scripts of * (CORS)"]),
        (
            "backends: [shop], sticky: {kind: cookie, name: s}",
            ['keeps a session at one endpoint, known by the cookie "s"'],
        ),
        (
            "ai: {guardrails: [g], models: [{name: fast, aliases: [small], targets: [{pool: shop, weight: 90}, {pool: shop-v2, weight: 10}, {pool: shop-v2, model: m, tier: 1}]}]}",
            [
                "wants a virtual key; otherwise answered 401",
                "is looked at by g",
                "for fast or small asks shop 90 %, shop-v2 10 %; then shop-v2",
            ],
        ),
        (
            "ai: {require_key: false, models: [{name: fast, prefer: cost, targets: [shop, shop-v2]}]}",
            ["for fast asks shop, shop-v2, by cost"],
        ),
        (
            f"ai: {{require_key: false, models: [{', '.join(f'{{name: m{n}, targets: [shop]}}' for n in range(9))}]}}",
            [*(f"for m{n} asks shop" for n in range(8)), "has 1 more models"],
        ),
        (
            "backends: [shop], allow: [10.0.0.0/8], deny: [10.1.0.0/16], authentication: [staff], max_request_bytes: 9, compression: true",
            [
                "denies clients of 10.1.0.0/16: answered 403",
                "allows only clients of 10.0.0.0/8; others are answered 403",
                "asks who it is: staff; otherwise answered 401",
                "takes 9 bytes at most; more is answered 413",
                "compresses the answer if the client accepts it",
            ],
        ),
    ],
)  # fmt: skip
def test_what_a_route_does(text, lines):
    assert list(action_lines(route(text), QUESTION)) == lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{path: /x}", "answers 308: http://shop.example:8000/x"),
        ("{scheme: https, port: 8443}", "answers 308: https://shop.example:8443/api"),
        ("{host: b.example}", "answers 308: http://b.example/api"),
    ],
)
def test_a_port_stays_with_its_host(text, line):
    question = Question("http", "shop.example", 8000, "/api")
    assert list(action_lines(route(f"redirect: {text}"), question)) == [line]


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ("", ""),
        ("10.2.0.1", ""),
        ("10.1.0.1", "denies 10.1.0.1: answered 403"),
        ("11.0.0.1", "does not allow 11.0.0.1: answered 403"),
    ],
)
def test_who_is_turned_away(client, reason):
    guarded = route("backends: [shop], allow: [10.0.0.0/8], deny: [10.1.0.0/16]")
    assert refusal(guarded, client) == reason
    known = Question("http", "shop.example", 80, "/api", client=client)
    if client:
        assert list(action_lines(guarded, known)) == ([reason] if reason else [])
