"""Listening: what other managers change, by LISTEN; told anew in full whenever the connection had to be made again."""

import asyncio
import random

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.logs import get_logger
from marchproxy.store.dialling import FAILURES, Dialler, watched
from marchproxy.store.store import TOPICS
from marchproxy.store.topics import Topics

CHANNEL = "marchproxy"
_BACKOFF = Backoff(initial=0.2, maximum=10.0)
_log = get_logger(__name__)


async def listen(dialler: Dialler, topics: Topics) -> None:
    """Until cancelled. What was changed while nobody listened is not known: then every topic is told."""
    attempt = 0
    while True:
        try:
            async with dialler.session() as connection:
                await connection.add_listener(CHANNEL, lambda *told: _tell(topics, str(told[-1])))
                topics.tell(TOPICS)
                attempt = 0
                async with watched(connection) as lost:
                    await lost.wait()
            _log.warning("no longer told of changes", database=dialler.name)
        except FAILURES as error:
            _log.warning("not told of changes", database=dialler.name, error=str(error))
        await asyncio.sleep(_BACKOFF.delay(attempt, random.random()))  # noqa: S311 - spreads load, guards nothing
        attempt += 1


def _tell(topics: Topics, topic: str) -> None:
    if topic in TOPICS:  # one of a newer manager's is nothing to ours
        topics.tell((topic,))
