"""What Envoy is told of paths and bodies: nothing, where all stays as the client sent it."""

import json
from random import Random

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.route import RouteId
from marchproxy.modules.ailb.choice import Chooser, Wanted
from marchproxy.modules.ailb.decision.inquiry import Inquiry
from marchproxy.modules.ailb.decision.passing import told
from marchproxy.modules.ailb.decision.under_way import Now
from marchproxy.modules.ailb.dialects.asked import read
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.plan import compile_plan
from marchproxy.wire.http1 import Requests

STATE = decode(b"""
routes: [{id: llm, path: /, ai: {models: [
  {name: plain, targets: [{pool: one}, {pool: two, tier: 1}]},
  {name: renamed, targets: [{pool: one}, {pool: two, model: other, tier: 1}]},
  {name: elsewhere, targets: [{pool: one}, {pool: based, tier: 1}]},
  {name: translated, targets: [{pool: one}, {pool: claude, tier: 1}]}]}}]
pools:
  - {name: one, endpoints: ["127.0.0.1:1"], ai: {}}
  - {name: two, endpoints: ["127.0.0.1:2"], ai: {}}
  - {name: based, endpoints: ["127.0.0.1:3"], ai: {base_path: /openai/v1}}
  - {name: claude, endpoints: ["127.0.0.1:4"], ai: {provider: anthropic}}
""")
CHAT = "/v1/chat/completions"


def told_of(model, target=CHAT, tasks=(), *, stream=False):
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    ).encode()
    head = f"POST {target} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
    (request,) = Requests(head=10_000, body=10_000).receive(head.encode() + body)
    plan = compile_plan(STATE)
    planned = plan.routes[RouteId("llm")].model(model)
    asked = read(Operation.CHAT, body)
    chooser = Chooser(Random(1))
    chooser.configure(plan.pools, {name: pool.pool.endpoints for name, pool in plan.pools.items()}, 0.0)
    chosen = chooser.choose(Wanted(planned), 0.0)
    return dict(told(7, Inquiry(request, Now(0, 0.0)), asked, planned, chosen, tasks))


def test_of_what_stays_nothing_is_told():
    found = told_of("plain")
    assert set(found.pop("x-ai-host").split(",")) == {"127.0.0.1:1", "127.0.0.1:2"}
    assert found == {
        "x-ai-id": "7",
        "x-ai-operation": "chat",
        "x-ai-model": "plain",
        "x-ai-stream": "0",
    }
    assert "x-ai-path" not in told_of("plain", CHAT + "?a=b")


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"model": "renamed"}, "/chat/completions"),
        ({"model": "elsewhere"}, "/chat/completions"),
        ({"model": "translated"}, "/chat/completions"),
        ({"model": "plain", "stream": True}, "/chat/completions"),  # by a relay
        ({"model": "plain", "tasks": ("keep",)}, "/chat/completions"),
        ({"model": "plain", "target": f"/team{CHAT}?a=b"}, "/chat/completions?a=b"),
        ({"model": "plain", "target": "/v1/chat%2Fcompletions"}, "/chat/completions"),
    ],
)
def test_of_what_changes_path_and_place_are_told(asked, path):
    found = told_of(**asked)
    start, end = map(int, found["x-ai-at"].split(","))
    assert (found["x-ai-path"], end - start) == (path, len(asked["model"]) + 2)
