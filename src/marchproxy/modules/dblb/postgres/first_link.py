"""First link: what servers of a pool report, which a client is told before it asks for anything."""

import asyncio
from collections.abc import Mapping

from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pool import Pool


class NoLink(Exception):
    """There is no session on a server; says why."""


async def reported_by(pool: Pool) -> Mapping[str, str]:
    """What its servers report; opens a link when there never was one. Raises NoLink."""
    if pool.reported:
        return pool.reported
    waiting = _Waiting()
    link = pool.acquire(waiting)
    if link is None:
        try:
            link = await waiting.link
        except asyncio.CancelledError:
            pool.give_up(waiting)
            if waiting.link.done() and not waiting.link.cancelled() and not waiting.link.exception():
                pool.release(waiting.link.result())
            raise
    pool.release(link)
    return pool.reported


class _Waiting:
    """Waits for a link in a coroutine."""

    def __init__(self) -> None:
        self.link: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

    def got(self, link: Link) -> None:
        self.link.set_result(link)

    def got_none(self, reason: str) -> None:
        self.link.set_exception(NoLink(reason))
