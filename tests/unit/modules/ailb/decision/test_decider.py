"""What becomes of requests."""

import json
from base64 import b64decode
from random import Random

import pytest
from google.protobuf import json_format, struct_pb2

from marchproxy.contract.document import decode
from marchproxy.kit.clock import VirtualClock
from marchproxy.model.ai import VirtualKey
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.asking import Allowed, Denied, decode_names
from marchproxy.modules.ailb.choice import Chooser, Outcome
from marchproxy.modules.ailb.decision.admission import Admission
from marchproxy.modules.ailb.decision.decider import Decider
from marchproxy.modules.ailb.decision.under_way import Now, UnderWay
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import Who
from marchproxy.modules.ailb.plan import compile_plan
from marchproxy.modules.ailb.queueing import Queueing
from marchproxy.wire.http1 import Requests

NOW = Now(1_800_000_000_000_000_000, 1000.0)
STATE = decode(b"""
routes:
  - id: llm
    path: /
    ai:
      models:
        - {name: fast, targets: [vllm, {pool: openai, tier: 1, model: gpt-4o-mini}], aliases: [small]}
        - {name: secret, targets: [vllm]}
        - {name: claude, targets: [claude]}
        - {name: "no*", targets: [empty]}
      attempts: 3
      max_body_bytes: 2000
  - {id: open, path: /open, ai: {models: [{name: fast, targets: [direct]}], require_key: false}}
pools:
  - {name: vllm, endpoints: ["127.0.0.1:1", "127.0.0.1:2"], ai: {provider: vllm, models: {fast: Qwen/Qwen3}}}
  - {name: openai, endpoints: ["127.0.0.1:3"], ai: {provider: openai}}
  - {name: claude, endpoints: ["127.0.0.1:4"], ai: {provider: anthropic}}
  - {name: direct, endpoints: ["127.0.0.1:5"], ai: {in_band_errors: false}}
  - {name: empty, endpoints: ["127.0.0.1:6"], ai: {serves: [nothing]}}
allowances:
  - {id: team, target: "team:*", tokens_per_minute: 3000}
  - {id: poor, target: "key:poor", budget_day: 0.000001}
prices: [{model: "gpt-*", input: 1, output: 2.5}]
""")
KEYS = {
    "sk-ann": VirtualKey("ann", "", user="ann", team="search", models=("fast", "claude", "nowhere", "none")),
    "sk-poor": VirtualKey("poor", ""),
}


class Keys:
    def find(self, shown, now):
        assert now == NOW.wall
        return KEYS.get(shown) or Failure(Reason.NO_KEY, "no such key")

    def permits(self, key, model):
        return not key.models or model in key.models


@pytest.fixture
def ledger():
    return Ledger(1, Totals())


@pytest.fixture
def under_way():
    return UnderWay()


@pytest.fixture
def decider(ledger, under_way):
    plan = compile_plan(STATE)
    chooser = Chooser(Random(1))
    chooser.configure(
        plan.pools, {name: pool.pool.endpoints for name, pool in plan.pools.items()}, NOW.steady
    )
    clock = VirtualClock()
    queueing = Queueing(1_000_000, lambda chosen: chooser.ended(chosen, Outcome(None), 0.0), clock)
    made = Decider(Admission(ledger, chooser, queueing, under_way, clock), ledger, under_way)
    made.follow(plan, Keys(), NOW)
    return made


def ask(decider, body=None, path="/v1/chat/completions", *, method="POST", **fields):
    fields = {"x-ai-route": "llm", "authorization": "Bearer sk-ann"} | {
        name.replace("_", "-"): value for name, value in fields.items()
    }
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    lines = [f"{method} {path} HTTP/1.1", f"content-length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    (request,) = Requests(head=10_000, body=1_000_000).receive(head + data)
    return decider.decide(request, NOW)


def chat(model="fast", **more):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}]} | more


def test_a_request_goes_to_the_targets_in_their_order(decider):
    body = chat(stream=True, max_tokens=5)
    verdict = ask(decider, body, "/v1/chat/completions?x=1")
    assert isinstance(verdict, Allowed)
    assert verdict.clusters == ("relay.vllm", "relay.vllm", "relay.openai")
    told = dict(verdict.told)
    assert decode_names(told.pop("x-ai-names")) == {"vllm": '"Qwen/Qwen3"', "openai": '"gpt-4o-mini"'}
    start, end = map(int, told.pop("x-ai-at").split(","))
    assert json.dumps(body)[start:end] == '"fast"'
    assert sorted(told.pop("x-ai-host").split(",")) == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    assert told == {
        "x-ai-id": "1",
        "x-ai-path": "/chat/completions?x=1",
        "x-ai-operation": "chat",
        "x-ai-model": "fast",
        "x-ai-stream": "1",
        "x-ai-who": "llm&ann&ann&search&5&5",
    }
    pools = verdict.encode().split(b"x-ai-pools: ")[1].split(b"\r\n")[0]
    groups = json_format.MessageToDict(struct_pb2.Value.FromString(b64decode(pools)))
    assert [group["clusters"][0]["cluster_name"] for group in groups] == list(verdict.clusters)


@pytest.mark.parametrize(
    ("route", "path", "body", "clusters"),
    [
        ("llm", "/v1/chat/completions", chat(max_tokens=5), ["pool.vllm", "pool.vllm", "pool.openai"]),
        ("llm", "/v1/messages", chat("small", max_tokens=5), ["relay.vllm", "relay.vllm", "relay.openai"]),
        ("llm", "/v1/messages", chat("claude", max_tokens=5), ["pool.claude"] * 3),
        ("llm", "/v1/messages", chat("claude", max_tokens=5, stream=True), ["relay.claude"] * 3),
        ("llm", "/v1/chat/completions", chat("claude", max_tokens=5), ["relay.claude"] * 3),
        ("open", "/open/v1/chat/completions", chat(stream=True), ["pool.direct"] * 3),
        ("llm", "/v1/embeddings", {"model": "claude", "input": "x"}, ["relay.claude"] * 3),
    ],
)
def test_only_what_must_be_looked_at_goes_through_a_relay(decider, route, path, body, clusters):
    verdict = ask(decider, body, path, x_ai_route=route)
    assert list(verdict.clusters) == clusters


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"body": chat(), "authorization": ""}, 401, "no such key"),
        ({"body": chat(), "authorization": "Bearer sk-x"}, 401, "no such key"),
        ({"body": chat("claude", max_tokens=1), "authorization": "", "x_api_key": "x", "path": "/v1/messages"}, 401, "authentication_error"),
        ({"body": chat("gone")}, 404, "'gone' does not exist"),
        ({"body": chat("secret")}, 403, "may not use"),
        ({"body": chat("nowhere")}, 404, "nobody serves"),
        ({"body": b"{"}, 400, "not JSON"),
        ({"body": chat(5)}, 400, "model"),
        ({"body": chat(), "path": "/v1/else"}, 404, "nothing is served"),
        ({"body": chat(), "method": "GET"}, 405, "use POST"),
        ({"body": chat(), "content_encoding": "gzip"}, 415, "gzip"),
        ({"body": b" " * 2001}, 413, "2001 bytes"),
        ({"body": chat(), "x_ai_route": "gone"}, 503, "try again"),
        ({"body": chat(max_tokens=3000)}, 429, "ask for fewer tokens"),
        ({"body": chat(), "authorization": "Bearer sk-poor"}, 429, "budget of the day"),
        ({"method": "GET", "path": "/v1/models/secret"}, 404, "does not exist"),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_told_why_in_its_own_words(decider, ledger, under_way, asked, status, words):
    verdict = ask(decider, **asked)
    assert isinstance(verdict, Denied)
    assert (verdict.status, words in verdict.body.decode()) == (status, True), verdict
    assert json.loads(verdict.body)["error"]["message"]
    assert ledger.under_way == len(under_way) == 0
    assert sum(sum(tally.refusals.values()) for tally in decider.tallies.kept.values()) == 1


def test_the_limit_of_a_team_holds_and_says_when_to_come_back(decider):
    assert isinstance(ask(decider, chat(max_tokens=2000)), Allowed)
    verdict = ask(decider, chat(max_tokens=2000))
    assert (verdict.status, verdict.retry_after) == (429, 21)


def test_tries_of_one_request_share_a_reservation(decider, ledger, under_way):
    first = ask(decider, chat(), x_request_id="a")
    assert ask(decider, chat(), x_request_id="a") is first
    assert ledger.under_way == 1
    under_way.take(1)
    assert ask(decider, chat(), x_request_id="a") is not first
    assert ledger.under_way == 2


def test_nothing_is_taken_for_a_client_that_has_gone(decider, ledger, under_way):
    under_way.note_gone("a", NOW.steady)
    assert isinstance(ask(decider, chat(), x_request_id="a"), Denied)
    assert ledger.under_way == 0
    assert isinstance(ask(decider, chat(), x_request_id="b"), Allowed)


def test_what_was_let_pass_is_taken_up_by_what_envoy_was_told(decider, ledger):
    told = dict(ask(decider, chat(max_tokens=7)).told)
    passed = decider.revive(5, told, NOW)
    assert (passed.number, passed.who, passed.model.name) == (5, Who("ann", "ann", "search"), "fast")
    assert (passed.expected, passed.stream, passed.target("openai").name) == (
        Usage(5, 7),
        False,
        "gpt-4o-mini",
    )
    assert ledger.settle(5, None, NOW.wall).cost == 5 + 18  # the dearest, rounded up
    for name in ("x-ai-who", "x-ai-operation"):
        assert decider.revive(6, told | {name: "x"}, NOW) is None
    assert decider.revive(6, told | {"x-ai-model": "gone"}, NOW) is None


@pytest.mark.parametrize(
    ("path", "fields", "names"),
    [
        ("/v1/models", {}, ["fast", "small", "claude"]),
        ("/v1/models", {"anthropic_version": "2023-06-01"}, ["fast", "small", "claude"]),
        ("/v1/models", {"authorization": "Bearer sk-poor"}, ["fast", "small", "secret", "claude"]),
    ],
)
def test_a_key_is_told_what_it_may_ask_for(decider, path, fields, names):
    verdict = ask(decider, None, path, method="GET", **fields)
    assert verdict.clusters == ("marchproxy.own",)
    ((name, place),) = verdict.told
    assert name == "x-ai-path"
    answer = decider.own.get(place.removeprefix("/kept/"))
    assert [entry["id"] for entry in json.loads(answer.body)["data"]] == names


def test_one_model_can_be_asked_for(decider):
    verdict = ask(decider, None, "/v1/models/small", method="GET")
    answer = decider.own.get(dict(verdict.told)["x-ai-path"].removeprefix("/kept/"))
    assert json.loads(answer.body)["id"] == "small"
