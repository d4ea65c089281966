"""What workers tell each other."""

import asyncio

import pytest

from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.worker.peers import LONGEST, Peers


class Ears:
    """Hears, and is done at once or when it is told."""

    def __init__(self, *, quick=True):
        self.heard = []
        self.done = []
        self._quick = quick

    def __call__(self, protocol, message, done):
        self.heard.append((protocol, message))
        if self._quick:
            done()
        else:
            self.done.append(done)


def opened(folder, index, ears):
    peers = Peers(folder, index, ears)
    peers.open()
    return peers


async def test_a_message_reaches_the_service_that_it_is_for(tmp_path):
    ears = Ears()
    one, other = opened(tmp_path, 0, Ears()), opened(tmp_path, 1, ears)
    async with asyncio.timeout(5):
        await one.say(1, Protocol.MYSQL, b"x" * LONGEST)
    assert ears.heard == [(Protocol.MYSQL, b"x" * LONGEST)]
    with pytest.raises(ValueError, match="1025 bytes"):
        await one.say(1, Protocol.MYSQL, b"x" * (LONGEST + 1))
    other.close()
    async with asyncio.timeout(5):
        await one.say(1, Protocol.REDIS, b"x")  # nobody is there: nobody waits
    one.close()


async def test_who_says_something_waits_until_it_is_done(tmp_path):
    ears = Ears(quick=False)
    one, other = opened(tmp_path, 0, Ears()), opened(tmp_path, 1, ears)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        first = group.create_task(one.say(1, Protocol.POSTGRES, b"first"))
        second = group.create_task(one.say(1, Protocol.POSTGRES, b"second"))
        while len(ears.done) < 2:
            await asyncio.sleep(0)
        ears.done[1]()
        await second
        assert not first.done()
        one.close()  # waits for nobody any more
    assert first.done()
    other.close()
    ears.done[0]()  # too late, and no harm


async def test_who_opens_a_place_again_takes_it_over(tmp_path):
    ears = Ears()
    old, new = opened(tmp_path, 0, Ears()), opened(tmp_path, 0, ears)
    async with asyncio.timeout(5):
        await new.say(0, Protocol.REDIS, b"me")
    old.close()
    async with asyncio.timeout(5):
        await new.say(0, Protocol.REDIS, b"still me")
    assert [message for _, message in ears.heard] == [b"me", b"still me"]
    new.close()
