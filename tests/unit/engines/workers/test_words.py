"""What a worker is told while another still has a port."""

import asyncio

import pytest

from marchproxy.engines.workers.words import PORT_SECONDS, Done, Refused, once_ports_are_free
from marchproxy.kit.clock import VirtualClock

TAKEN = Refused("in use", in_use=True)


@pytest.mark.parametrize(
    ("answers", "last", "asked"),
    [
        ([Done()], Done(), 1),
        ([Refused("no")], Refused("no"), 1),
        ([TAKEN, TAKEN, Done()], Done(), 3),
        ([TAKEN, Refused("no")], Refused("no"), 2),
        ([TAKEN] * 100, TAKEN, 6),  # once more after the deadline
    ],
)
async def test_a_port_may_become_free(answers, last, asked):
    clock, left = VirtualClock(), iter(answers)

    async def ask():
        return next(left)

    asking = asyncio.create_task(once_ports_are_free(ask, clock, every=PORT_SECONDS / 4))
    await clock.elapse(10 * PORT_SECONDS)
    assert await asking == last
    assert len(answers) - len(list(left)) == asked
