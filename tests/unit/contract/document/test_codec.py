import hashlib
import json

import pytest
from hypothesis import HealthCheck as Slow
from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.contract.document import LARGEST_DOCUMENT, checksum, decode, encode
from marchproxy.model.ai import (
    ModelTarget,
)
from marchproxy.model.checks import check_state
from marchproxy.model.http import (
    Mirror,
)
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.pool import (
    BackendPool,
    Endpoint,
    HealthCheck,
)
from marchproxy.model.problem import InvalidValue
from marchproxy.model.route import (
    BackendRef,
    HeaderKind,
    HeaderMatch,
    PathKind,
    PathMatch,
    Route,
    RouteMatch,
)
from marchproxy.model.rtmp import DEFAULT_LADDER
from marchproxy.model.state import DesiredState
from tests.unit.contract.document.made.states import model_states, states


@given(state=states() | model_states())
@settings(max_examples=150, deadline=None, suppress_health_check=[Slow.too_slow, Slow.data_too_large])
def test_a_sound_state_survives_the_document(state):
    assert check_state(state) == ()
    data = encode(state)
    assert decode(data) == state
    assert encode(decode(data)) == data
    if data.decode().isprintable():  # what YAML allows only escaped, JSON allows as it is
        assert decode(b"# read as YAML\n" + data) == state


def test_the_canonical_form():
    state = DesiredState(
        listeners=(Listener("web", "::1", 80),),
        routes=(
            Route(
                "shop",
                RouteMatch(path=PathMatch(PathKind.EXACT, "/é")),
                (BackendRef("p"),),
                metadata={"b": "", "a": ""},
            ),
        ),
        pools=(
            BackendPool("p", endpoints=(Endpoint("a:1"), Endpoint("b:1", 2)), health_check=HealthCheck()),
        ),
        rate_limits=(RateLimit("l", "*", 5),),
    )
    assert json.loads(encode(state)) == {
        "listeners": [{"address": "[::1]:80", "name": "web"}],
        "pools": [{"name": "p", "endpoints": [{"address": "a:1"}, {"address": "b:1", "weight": 2}], "health_check": {}}],
        "rate_limits": [{"id": "l", "requests_per_second": 5, "target": "*"}],
        "routes": [{"backends": [{"pool": "p"}], "id": "shop", "metadata": {"a": "", "b": ""}, "path": {"exact": "/é"}}],
    }  # fmt: skip
    assert b'"metadata":{"a":"","b":""}' in encode(state)
    assert encode(DesiredState()) == b"{}"


def test_equal_states_have_equal_bytes_however_they_were_written():
    one = b"routes: [{id: r, timeout: 1m, path: /}]\nlisteners: [{name: w, address: '0.0.0.0:1', version_weights: {b: 60, a: 40}}]"
    two = (
        b'{"listeners": [{"version_weights": {"a": 40, "b": 60}, "address": "0.0.0.0:1", "module": "alb", "name": "w"}],'
        b' "routes": [{"timeout": 60, "retry": {"attempts": 2}, "path": {"prefix": "/"}, "id": "r"}]}'
    )
    assert decode(one) == decode(two)
    assert checksum(encode(decode(one))) == checksum(encode(decode(two)))


def test_the_sign_of_zero_makes_no_difference():
    minus, plus = (DesiredState(routes=(Route("r", timeout=zero),)) for zero in (-0.0, 0.0))
    assert minus == plus
    assert encode(minus) == encode(plus)


def test_checksum_is_sha256_in_hex():
    assert checksum(b"{}") == hashlib.sha256(b"{}").hexdigest()


HEADER = "routes: [{{id: r, headers: [{{name: x, {}}}]}}]"


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("exact: a", HeaderMatch("x", HeaderKind.EXACT, "a")),
        ("prefix: ''", HeaderMatch("x", HeaderKind.PREFIX, "")),
        ("regex: a+, invert: true", HeaderMatch("x", HeaderKind.REGEX, "a+", invert=True)),
        ("present: true", HeaderMatch("x", HeaderKind.PRESENT)),
        ("present: false", HeaderMatch("x", HeaderKind.PRESENT, invert=True)),
        ("present: true, invert: true", HeaderMatch("x", HeaderKind.PRESENT, invert=True)),
        ("present: false, invert: true", HeaderMatch("x", HeaderKind.PRESENT)),
    ],
)
def test_header_conditions(written, header):
    (route,) = decode(HEADER.format(written).encode()).routes
    assert route.match.headers == (header,)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/api", PathMatch(PathKind.PREFIX, "/api")),
        ("{prefix: /api}", PathMatch(PathKind.PREFIX, "/api")),
        ("{exact: /api}", PathMatch(PathKind.EXACT, "/api")),
        ("{regex: '/v[0-9]'}", PathMatch(PathKind.REGEX, "/v[0-9]")),
        ("{template: '/v/{n}'}", PathMatch(PathKind.TEMPLATE, "/v/{n}")),
    ],
)
def test_paths(written, expected):
    (route,) = decode(f"routes: [{{id: r, path: {written}}}]".encode()).routes
    assert route.match.path == expected


def test_targets_in_short():
    state = decode(
        b"pools: [{name: p, ai: {}}]\nroutes: [{id: r, ai: {models: [{name: m, targets: [p, {pool: p, model: n, tier: 1}]}]}}]"
    )
    (model,) = state.routes[0].ai.models
    assert model.targets == (ModelTarget("p", 100, 0, ""), ModelTarget("p", 100, 1, "n"))


def test_a_ladder_in_short():
    state = decode(b"routes: [{id: r, protocol: rtmp, rtmp: {packaging: {rungs: default}}}]")
    assert state.routes[0].rtmp.packaging.rungs == DEFAULT_LADDER
    assert decode(encode(state)) == state


def test_shorthands():
    state = decode(
        b"pools: [{name: p, endpoints: ['a:1', {address: 'b:1', weight: 2}]}]\n"
        b"routes: [{id: r, backends: [p], mirrors: [p], response_headers: {add: {b: x, a: [y, z]}}}]"
    )
    assert state.routes[0].mirrors == (Mirror("p", 100.0),)
    assert state.routes[0].response_headers.add == (("a", "y"), ("a", "z"), ("b", "x"))
    assert state.pools[0].endpoints == (Endpoint("a:1", 1), Endpoint("b:1", 2))
    assert state.routes[0].backends == (BackendRef("p", 100),)


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        (b"routes: [{id: r, pth: /}]", ['routes[0].pth: unknown key; did you mean "path"?']),
        (b"rutes: []", ['rutes: unknown key; did you mean "routes"?']),
        (b"routes: [{id: r, path: {exact: /, prefix: /}}]", ["routes[0].path: give exactly one of prefix, exact, regex and template"]),
        (b"routes: [{id: r, path: {exact: null}}]", ["routes[0].path: give exactly one of prefix, exact, regex and template"]),
        (HEADER.format("invert: true").encode(), ["routes[0].headers[0]: give exactly one of exact, prefix, regex and present"]),
        (b"routes: [{id: r, query: [{name: v, present: false}]}]", ["routes[0].query[0].present: must be True"]),
        (b"routes: [{id: r, cors: {origins: ['*'], max_age: 1500ms}}]", ["routes[0].cors.max_age: must be a valid integer"]),
        (b"routes: [{id: r, request_headers: {set: {x: 1}}}]", ["routes[0].request_headers.set.x: must be a valid string"]),
        (
            b"authentication: [{name: staff, kind: magic}]\nroutes: [{id: r, authentication: [staff, stuff]}]",
            ["authentication[0].kind: must be 'basic', 'api_key', 'jwt', 'userlist', 'auth_query', 'certificate', 'stream_keys', 'signed' or 'callback'", 'routes[0].authentication[1]: no authentication "stuff"; known: staff'],
        ),
        (
            (b"authentication: [{name: keys, kind: stream_keys, fil: /k}]\npools: [{name: p, protocol: rtmp, rtmp: {pick: best}}]\n"
            b"routes: [{id: r, protocol: rtmp, backends: [p], rtmp: {publish: [keys, no]}}, {id: s, protocol: rtmp, rtmp: {stall: -1}}]\n"
            b"rate_limits: [{id: l, target: s, max_concurrent: 1}]"),
            ["authentication[0].fil: ", "pools[0].rtmp.pick: must be 'stream_hash', ", "routes[1].rtmp.stall: ", 'routes[0].rtmp.publish[1]: no authentication "no"'],
        ),
        (b"pools: [{name: p, health_check: {interval: soon}}]", ["pools[0].health_check.interval: must be seconds or"]),
        (b'{"pools": [{"name": "p", "connect_timeout": NaN}]}', ["pools[0].connect_timeout: must be a finite number"]),
        (b'{"pools": [], "pools": []}', ["pools: duplicate key; it was first given on line 1"]),
        (b"routes: [", ["line 2: not readable as YAML"]),
        (b"\xff", ["is not UTF-8 text"]),
        (b"[" * 100_000, ["line 1: more than 64 levels"]),
        (b'{"a":' * 100_000, ["line 1: more than 64 levels"]),
        (b"{" + b" " * LARGEST_DOCUMENT, ["8388609 bytes are more than the 8388608 allowed"]),
        (b"routes: [{id: r}, {id: r}]", ["routes[1].id: the same as routes[0].id"]),
        # form and soundness together; the item with the fault of form keeps its name, so nothing else is blamed for it
        (
            b"{routes: [{id: r, backends: [p, q]}, {id: s, timeout: -1}], pools: [{name: p, balance: fair}], rate_limits: [{id: l, target: s}]}",
            [
                "pools[0].balance: must be 'least_connections'",
                "routes[1].timeout: must be greater than or equal to 0",
                "routes[0].backends[1].pool: no pool \"q\"; known: p",
                "routes[0].backends: the weights add up to 200",
                "rate_limits[0]: gives no rate",
            ],
        ),
        (
            (b"{routes: [{id: r, ai: {models: [{name: m, targets: [p, q]}], guardrails: [g, h]}}], guardrails: [{name: g, kind: regex, pattern: a}],"
            b" pools: [{name: p, ai: {provider: openia}}], allowances: [{id: a}, {id: b, target: '*'}], virtual_keys: [{id: k, hash: sk-secret}]}"),
            [
                'guardrails[0].pattern: unknown key; did you mean "patterns"?',
                "pools[0].ai.provider: must be 'openai', 'anthropic', 'ollama', 'vllm', 'sglang' or 'openai_compatible'",
                "allowances[0].target: required",
                "allowances[1]: allows any amount",
                'routes[0].ai.guardrails[1]: no guardrail "h"; known: g',
                'routes[0].ai.models[0].targets[1].pool: no pool "q"; known: p',
                "routes[0].ai.models[0].targets: tier 0: the weights add up to 200",
                "virtual_keys[0].hash: is not a SHA-256 in 64 small hexadecimal digits",
            ],
        ),
        # an item whose name is not known could be what the others refer to: no guesses
        (b"pools: [{nam: p}]\nroutes: [{id: r, backends: [p]}]", ["pools[0].name: required", "pools[0].nam: unknown key"]),
        (b"pools: {p: {}}\nroutes: [{id: r, backends: [p]}]", ["pools: must be"]),
    ],
)  # fmt: skip
def test_every_problem_is_told(data, problems):
    with pytest.raises(InvalidValue) as caught:
        decode(data)
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == len(problems), told
    for expected in problems:
        assert any(text.startswith(expected) for text in told), (expected, told)


FRAGMENTS = st.sampled_from(
    [
        "routes",
        "pools",
        "listeners",
        "rate_limits",
        "id",
        "name",
        "r",
        "path",
        "regex",
        "(",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "-",
        "weight",
        "1",
        "-1",
        "1e999",
        "null",
        "true",
        "'",
        '"',
        "&",
        "*",
        "|",
        "\n",
        "address",
        "0.0.0.0:1",
    ]
)


@given(
    data=st.binary(max_size=60) | st.lists(FRAGMENTS, max_size=25).map(lambda parts: " ".join(parts).encode())
)
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_it(data):
    try:
        state = decode(data)
    except InvalidValue as error:
        assert error.problems  # noqa: PT017 - either outcome is right
    else:
        assert check_state(state) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "name", "path", "backends", "weight", "address", "on", "ai", "models", "target"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


SECTIONS = [
    "routes",
    "pools",
    "listeners",
    "rate_limits",
    "virtual_keys",
    "allowances",
    "prices",
    "guardrails",
]


@given(sections=st.dictionaries(st.sampled_from(SECTIONS), JSON))
@settings(max_examples=300, deadline=None)
def test_no_values_break_it(sections):
    try:
        state = decode(json.dumps(sections).encode())
    except InvalidValue as error:
        assert error.problems  # noqa: PT017 - either outcome is right
    else:
        assert check_state(state) == ()
