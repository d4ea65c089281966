"""Which model a client means, who answers for it, and what it is called there."""

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.ai import Dialect, Price
from marchproxy.model.route import RouteId
from marchproxy.modules.ailb.ledger.prices import PriceList
from marchproxy.modules.ailb.plan import compile_plan

STATE = decode(b"""
routes:
  - id: llm
    path: /llm/v1
    ai:
      models:
        - {name: fast, targets: [{pool: openai, tier: 1, model: gpt-4o-mini}, vllm], aliases: [small, "tiny-*"]}
        - {name: "claude-*", targets: [claude]}
        - {name: "other-*", targets: [limited]}
        - {name: "*", targets: [vllm]}
  - {id: web, path: /, backends: [site]}
  - {id: narrow, path: /only, ai: {models: [{name: fast, targets: [vllm]}]}}
pools:
  - {name: vllm, endpoints: ["127.0.0.1:1"], ai: {provider: vllm, models: {fast: Qwen/Qwen3}}}
  - {name: openai, endpoints: ["127.0.0.1:2"], ai: {provider: openai}}
  - {name: claude, endpoints: ["127.0.0.1:3"], ai: {provider: anthropic}}
  - {name: limited, endpoints: ["127.0.0.1:4"], ai: {serves: ["other-1*"]}}
  - {name: site, endpoints: ["127.0.0.1:5"]}
prices: [{model: "gpt-*", input: 1, output: 2.5}, {model: Qwen/Qwen3, input: 0, output: 0}]
""")
PLAN = compile_plan(STATE)
LLM = PLAN.routes[RouteId("llm")]


@pytest.mark.parametrize(
    ("asked", "name", "targets"),
    [
        ("fast", "fast", [("vllm", "Qwen/Qwen3"), ("openai", "gpt-4o-mini")]),
        ("small", "fast", [("vllm", "Qwen/Qwen3"), ("openai", "gpt-4o-mini")]),
        ("tiny-2", "fast", [("vllm", "Qwen/Qwen3"), ("openai", "gpt-4o-mini")]),
        ("claude-x", "claude-x", [("claude", "claude-x")]),
        ("other-x", "other-x", []),  # its pool does not have it
        ("other-1", "other-1", [("limited", "other-1")]),
        ("anything", "anything", [("vllm", "anything")]),
    ],
)
def test_the_first_model_that_fits_answers(asked, name, targets):
    for _ in range(2):  # found, and remembered
        found = LLM.model(asked)
        assert found is not None
        assert found.name == name
        assert [(target.pool.name, target.name) for target in found.targets] == targets


def test_what_fits_nothing_is_no_model():
    assert PLAN.routes[RouteId("narrow")].model("slow") is None


def test_prices_are_those_of_the_name_that_the_provider_knows():
    own, bought = LLM.model("fast").targets
    assert (own.is_priced, own.tariff.output) == (True, 0)
    assert bought.tariff == PriceList({"x": Price(1, 2.5)}).tariff("x")
    assert not LLM.model("claude-x").targets[0].is_priced


@pytest.mark.parametrize(
    ("route", "path", "below"),
    [
        ("llm", "/llm/v1/chat/completions", "/v1/chat/completions"),
        ("narrow", "/only/v1/models", "/v1/models"),
    ],
)
def test_paths_are_those_of_the_apis(route, path, below):
    assert PLAN.routes[RouteId(route)].below(path) == below


def test_only_what_is_of_language_models_is_in_the_plan():
    assert set(PLAN.routes) == {"llm", "narrow"}
    assert set(PLAN.pools) == {"vllm", "openai", "claude", "limited"}
    assert PLAN.pools["claude"].dialect is Dialect.ANTHROPIC


def test_names_that_clients_are_told_are_no_patterns():
    assert LLM.models == ("fast", "small")


def test_names_that_clients_think_up_are_not_remembered_for_good():
    for number in range(10_000):
        assert LLM.model(f"made-up-{number}").name == f"made-up-{number}"
    assert len(LLM._found) <= 4096
