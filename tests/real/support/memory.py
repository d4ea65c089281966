"""Clients that prepare thousands of statements again and again: what that does to the memory of DBLB's workers."""

import asyncio
import time
from collections.abc import Sequence

import asyncpg
import psutil

from tests.real.dblb_rig import PASSWORD


async def churn(port: int, *, clients: int, statements: int, seconds: float, round_: int) -> None:
    """So many clients at once, of whom each says its part of the statements, leaves, and comes again, until time is up."""
    until = time.monotonic() + seconds

    async def work(number: int) -> None:
        turn = 0
        while not turn or time.monotonic() < until:
            where = {
                "host": "127.0.0.1",
                "port": port,
                "user": "app",
                "password": PASSWORD,
                "database": "app",
            }
            connection = await asyncpg.connect(**where, ssl=False, timeout=60)
            for at in range(statements // clients):
                mark = at * clients + number
                assert (
                    await connection.fetchval(f"select $1::int + {mark}", round_, timeout=60) == mark + round_
                )
            await connection.close()
            turn += 1

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(work(number))


def resident_mb(workers: Sequence[psutil.Process]) -> float:
    """Of all workers together, in MiB."""
    return sum(worker.memory_info().rss for worker in workers) / 2**20
