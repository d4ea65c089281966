"""sysbench against MariaDBs behind the proxy: texts and prepared statements, with reads on the replica and without."""

import re

import pytest
import pytest_asyncio

from marchproxy.model.database import DatabasePool, DatabaseRoute
from tests.real.mysql_rig import INIT, PASSWORD, Setup, proxied
from tests.real.support.databases import run
from tests.real.support.mariadb_pair import mariadb_pair

pytestmark = pytest.mark.asyncio(loop_scope="module")
POOL = DatabasePool(size=20, monitor="root", probe_interval=0.1, max_lag=5.0)
ROWS = 1000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair():
    async with mariadb_pair(init=INIT) as pair:
        yield pair


async def sysbench(rig, script, command, *more):
    where = ("--mysql-host=127.0.0.1", f"--mysql-port={rig.port}", "--mysql-user=owner", "--mysql-db=shop")
    size = (f"--mysql-password={PASSWORD}", "--tables=1", f"--table-size={ROWS}", "--rand-type=uniform")
    return await run("sysbench", script, *where, *size, *more, command, within=60)


@pytest.mark.parametrize("prepared", ["auto", "disable"])
async def test_sysbench_reads_and_writes_without_an_error(pair, prepared):
    """Transactions that may write are the primary's; of single statements those that read go to the replica.

    One thread writes: two of sysbench's may delete and insert the same row, which fails on any server.
    """
    setup = Setup(options=POOL, route=DatabaseRoute(split_reads=True, catch_up=1.0))
    async with proxied(pair.primary.port, pair.replica.port, setup=setup) as rig:
        await rig.until(lambda: {r.role for r in rig.service.servers()} == {"primary", "replica"})
        await sysbench(rig, "oltp_read_write", "prepare")
        await pair.caught_up()
        way = ("--time=0", f"--db-ps-mode={prepared}")
        assert_clean(await sysbench(rig, "oltp_read_write", "run", "--events=50", *way), 50)
        assert rig.tally.to_replicas == 0
        single = ("--skip-trx=on", *way)
        assert_clean(await sysbench(rig, "oltp_read_write", "run", "--events=50", *single), 50)
        assert_clean(
            await sysbench(rig, "oltp_read_only", "run", "--threads=4", "--events=100", *single), 100
        )
        assert rig.tally.to_replicas > 100
        assert rig.tally.errors == 0
        await sysbench(rig, "oltp_read_write", "cleanup")
        await pair.caught_up()


def assert_clean(said, events):
    assert re.search(rf"transactions:\s+{events} ", said), said
    assert re.search(r"ignored errors:\s+0 ", said), said
