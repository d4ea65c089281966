"""What an attempt at a pool is made of, where the golden resources do not say it."""

import pytest

from marchproxy.model.ai import AiPool
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb.resources.attempts import pool_filters


@pytest.mark.parametrize(("base_path", "base"), [("", "/v1"), ("/", ""), ("/openai/v1", "/openai/v1")])
def test_a_path_begins_as_the_pool_says(base_path, base):
    (_, script) = pool_filters(BackendPool(PoolName("p")), AiPool(base_path=base_path))
    assert f'headers:replace(":path", "{base}" ..'.encode() in script.SerializeToString()
