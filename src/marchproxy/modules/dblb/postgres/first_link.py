"""First link: what the servers of a session report, which a client is told before it asks for anything."""

import asyncio
from collections.abc import Mapping

from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.roles import Source


class NoLink(Exception):
    """There is no session on a server; says why."""


async def reported_by(source: Source) -> Mapping[str, str]:
    """What its servers report; opens a link when there never was one. Raises NoLink."""
    if source.reported:
        return source.reported
    waiting = _Waiting()
    link = source.acquire(waiting)
    if link is None:
        try:
            link = await waiting.link
        except asyncio.CancelledError:
            source.give_up(waiting)
            if waiting.link.done() and not waiting.link.cancelled() and not waiting.link.exception():
                link = waiting.link.result()
                link.owner.release(link)
            raise
    reported = source.reported or dict(link.parameters)
    link.owner.release(link)
    return reported


class _Waiting:
    """Waits for a link in a coroutine."""

    def __init__(self) -> None:
        self.link: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

    def got(self, link: Link) -> None:
        self.link.set_result(link)

    def got_none(self, reason: str) -> None:
        self.link.set_exception(NoLink(reason))
