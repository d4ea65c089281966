"""The whole of asyncpg's own tests through DBLB (`make judges`)."""

import pytest

from tests.real.support.asyncpg_suite import judge_by_asyncpg


@pytest.mark.parametrize("pooling", ["transaction", "session"])
async def test_asyncpg_judges(pooling, tmp_path):
    await judge_by_asyncpg(pooling, tmp_path)
