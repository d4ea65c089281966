"""asyncpg's own tests through DBLB: those that fail are the ones that cannot hold behind a proxy, each for its reason."""

from tests.real.support.asyncpg_excuses import LONG
from tests.real.support.asyncpg_suite import judge_by_asyncpg


async def test_asyncpg_judges_transaction_pooling(tmp_path):
    await judge_by_asyncpg("transaction", tmp_path, without=LONG)
