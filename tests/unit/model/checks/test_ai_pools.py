"""Faults of pools of language models."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import AiPool, Pick, Provider, Scores
from marchproxy.model.checks import check_pools
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool, Discovery, Endpoint, HealthCheck, UpstreamTls

POOL = BackendPool("p", endpoints=(Endpoint("a:1"),), ai=AiPool())
PUBLIC = replace(
    POOL, endpoints=(Endpoint("api.openai.com:443"),), ai=AiPool(Provider.OPENAI), tls=UpstreamTls()
)


def ai(**change):
    return replace(POOL, ai=replace(POOL.ai, **change))


def engine(**change):
    return ai(provider=Provider.VLLM, **change)


@pytest.mark.parametrize(
    "sound",
    [
        POOL,
        PUBLIC,
        replace(PUBLIC, health_check=HealthCheck()),
        replace(PUBLIC, tls=None, endpoints=(Endpoint("127.0.0.1:1"), Endpoint("[::1]:1"), Endpoint("10.0.0.1:1"))),
        replace(POOL, protocol=Protocol.HTTP2, health_check=HealthCheck(path="/health")),
        engine(metrics_interval=0.01, metrics_path="/stats", saturated_queue=1, saturated_kv=1.0),
        ai(metrics_interval=0.0),
        ai(models={"fast": "Qwen/Qwen3-8B"}, serves=("fast", "llama-*"), credential="/key", base_path="/openai/v1"),
        ai(base_path="/"),
        ai(pick=Pick.ROUND_ROBIN),
        ai(scores=Scores(0, 0, 1)),
    ],
)  # fmt: skip
def test_sound_pools(sound):
    assert list(check_pools([sound])) == []


@pytest.mark.parametrize(
    ("faulty", "paths", "message"),
    [
        (replace(POOL, protocol=Protocol.GRPC), ["ai"], "is for http and http2; grpc has no such thing"),
        (replace(POOL, protocol=Protocol.REDIS), ["ai"], "is for http and http2; redis has no such thing"),
        (replace(PUBLIC, tls=None), ["tls"], "is needed: keys and prompts for openai would be readable"),
        (replace(PUBLIC, tls=None, endpoints=(Endpoint("10.0.0.1:1"), Endpoint("8.8.8.8:1"))), ["tls"], "is needed"),
        (replace(PUBLIC, tls=None, endpoints=(), discovery=Discovery(dns="a.b:1")), ["tls"], "is needed"),
        (replace(PUBLIC, health_check=HealthCheck(path="/")), ["health_check.path"], "openai answers nobody without a key"),
        (ai(models={"a*": "b", "c": ""}), ["ai.models.a*", "ai.models.c"], '"a*" is a pattern'),
        (ai(serves=("*x", "y", "y")), ["ai.serves[0]", "ai.serves[2]"], '"*x": a * stands for what follows'),
        (ai(base_path="v1"), ["ai.base_path"], '"v1" does not begin with /'),
        (ai(base_path="/v1/"), ["ai.base_path"], 'write "/v1": the paths begin with /'),
        (ai(base_path="/a b"), ["ai.base_path"], '"/a b" has a blank'),
        (ai(credential="key"), ["ai.credential"], '"key" is not the absolute path of a file'),
        (ai(scores=Scores(-1, 1001, float("nan"))), ["ai.scores.queue", "ai.scores.kv_cache", "ai.scores.prefix"], "-1 is not between 0 and 1000"),
        (ai(scores=Scores(0, 0, 0)), ["ai.scores"], "nothing would speak for any endpoint"),
        (ai(pick=Pick.LEAST_PENDING, scores=Scores(1)), ["ai.scores"], "is for pick: scored, not for least_pending"),
        (engine(metrics_interval=0.009), ["ai.metrics_interval"], "0.009 s is neither 0 (never) nor between 0.01 and 60"),
        (engine(metrics_path="metrics"), ["ai.metrics_path"], '"metrics" does not begin with /'),
        (ai(metrics_interval=1.0, metrics_path="/m", saturated_kv=0.5), ["ai.metrics_interval", "ai.metrics_path", "ai.saturated_kv"], "is for vllm and sglang, whose metrics are read, not for openai_compatible"),
        (engine(saturated_queue=0, saturated_kv=0.0), ["ai.saturated_queue", "ai.saturated_kv"], "0 is not between 1 and 100,000"),
        (engine(saturated_kv=1.1), ["ai.saturated_kv"], "1.1 is not more than 0 and at most 1"),
        (engine(saturated_kv=float("nan")), ["ai.saturated_kv"], "nan is not"),
    ],
)  # fmt: skip
def test_faults(faulty, paths, message):
    found = list(check_pools([faulty]))
    assert sorted(problem.path for problem in found) == sorted(f"pools[0].{path}" for path in paths)
    assert any(problem.message.startswith(message) for problem in found), found
