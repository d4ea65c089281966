"""Which endpoints are asked how they are, and how often."""

import pytest

from marchproxy.model.ai import AiPool, Provider
from marchproxy.model.pool import BackendPool, UpstreamTls
from marchproxy.modules.ailb.load import Engine


def engine(provider=Provider.VLLM, tls=None, **options):
    return Engine.of(BackendPool("p", tls=tls, ai=AiPool(provider, **options)), "10.0.0.1:80")


@pytest.mark.parametrize("provider", [Provider.VLLM, Provider.SGLANG])
def test_engines_are_asked_at_their_interval(provider):
    found = engine(provider, metrics_interval=0.2, metrics_path="/m")
    assert found == Engine("p", "10.0.0.1:80", provider, "/m", 0.2)


@pytest.mark.parametrize(
    "found",
    [
        engine(Provider.OPENAI),
        engine(Provider.OLLAMA),
        engine(Provider.COMPATIBLE),
        engine(metrics_interval=0.0),
        engine(tls=UpstreamTls()),
        Engine.of(BackendPool("p"), "10.0.0.1:80"),
    ],
)
def test_others_are_not_asked(found):
    assert found is None
