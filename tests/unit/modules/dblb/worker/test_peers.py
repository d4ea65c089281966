"""What workers tell each other."""

import asyncio

import pytest

from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.worker.peers import LONGEST, Peers


async def test_a_message_reaches_the_service_that_it_is_for(tmp_path):
    heard = asyncio.Queue()
    one = Peers(tmp_path, 0, lambda *told: None)
    other = Peers(tmp_path, 1, lambda *told: heard.put_nowait(told))
    one.open()
    other.open()
    one.say(1, Protocol.MYSQL, b"x" * LONGEST)
    async with asyncio.timeout(5):
        assert await heard.get() == (Protocol.MYSQL, b"x" * LONGEST)
    with pytest.raises(ValueError, match="1025 bytes"):
        one.say(1, Protocol.MYSQL, b"x" * (LONGEST + 1))
    other.close()
    for _ in range(1000):  # nobody is there, or nobody reads: nobody waits
        one.say(1, Protocol.REDIS, b"x")
    one.close()


async def test_who_opens_a_place_again_takes_it_over(tmp_path):
    heard = asyncio.Queue()
    old = Peers(tmp_path, 0, lambda *told: None)
    old.open()
    new = Peers(tmp_path, 0, lambda *told: heard.put_nowait(told))
    new.open()
    new.say(0, Protocol.REDIS, b"me")
    async with asyncio.timeout(5):
        assert await heard.get() == (Protocol.REDIS, b"me")
    old.close()
    new.say(0, Protocol.REDIS, b"still me")
    async with asyncio.timeout(5):
        assert await heard.get() == (Protocol.REDIS, b"still me")
    new.close()
