"""What another dialect does not have, a client is told of."""

import json

import pytest

from marchproxy.model.ai import AiPool, Provider
from marchproxy.model.model_names import ModelPatterns
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.plan import PoolPlan
from marchproxy.modules.ailb.relay.heard import Heard
from marchproxy.modules.ailb.relay.outgoing import Outgoing, compose
from marchproxy.modules.ailb.relay.plan import Way

BODY = {"model": "m", "messages": [{"role": "user", "name": "joe", "content": "hi"}], "prompt_cache_key": "k"}


@pytest.mark.parametrize(
    ("provider", "left_out"),
    [(Provider.ANTHROPIC, "messages[0].name, prompt_cache_key"), (Provider.OPENAI, "")],
)
def test_fields_that_are_left_out_are_named(provider, left_out):
    pool = PoolPlan(BackendPool(PoolName("p")), AiPool(provider), ModelPatterns(()))
    heard = Heard(1, "p", "r", Operation.CHAT, stream=False, path="/chat/completions")
    found = compose(heard, json.dumps(BODY).encode(), Way(pool, "/v1"), created=0, default_output=5)
    assert isinstance(found, Outgoing)
    assert found.left_out == left_out
