"""Requests that wait for an endpoint, and what is given back of those that do not go on."""

import asyncio
import json
from contextlib import suppress
from random import Random

import pytest

from marchproxy.contract.document import decode
from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.ailb.asking import Allowed, Denied
from marchproxy.modules.ailb.choice import Chooser, Outcome
from marchproxy.modules.ailb.decision.admission import Admission
from marchproxy.modules.ailb.decision.decider import Decider
from marchproxy.modules.ailb.decision.under_way import Now, UnderWay
from marchproxy.modules.ailb.keys import KeyRing
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.load.engine_load import EngineLoad
from marchproxy.modules.ailb.plan import compile_plan
from marchproxy.modules.ailb.queueing import Queueing
from marchproxy.wire.http1 import Request

NOW = Now(1_800_000_000_000_000_000, 1000.0)
DOCUMENT = """
routes:
  - {id: llm, path: /, ai: {require_key: false, models: [{name: m, targets: [vllm]}], queue: {size: %d, wait: %s}}}
pools:
  - {name: vllm, endpoints: ["127.0.0.1:1"], ai: {provider: vllm}}
"""
CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


class Rig:
    def __init__(self, size, wait="30"):
        self.ledger, self.under_way, self.clock = Ledger(1, Totals()), UnderWay(), VirtualClock()
        self.chooser = Chooser(Random(1))
        self.queueing = Queueing(1_000_000, self.give_back, self.clock)
        admission = Admission(self.ledger, self.chooser, self.queueing, self.under_way, self.clock)
        self.decider = Decider(admission, self.ledger, self.under_way)
        plan = compile_plan(decode((DOCUMENT % (size, wait)).encode()))
        self.chooser.configure(
            plan.pools, {name: one.pool.endpoints for name, one in plan.pools.items()}, 0.0
        )
        self.decider.follow(plan, KeyRing(()), NOW)
        (self.member,) = self.chooser.members("vllm")

    def give_back(self, chosen):
        self.chooser.ended(chosen, Outcome(None), 0.0)

    def engine_has(self, waiting):
        for _ in range(2):  # full is who lets some wait again
            self.member.asked()
            self.member.heard(EngineLoad(waiting=waiting, running=4.0), self.clock.monotonic())
        self.queueing.has_room("vllm")

    def ask(self, number=1):
        fields = {b"x-ai-route": b"llm", b"x-request-id": b"%d" % number}
        return self.decider.decide(Request("POST", "/v1/chat/completions", fields, CHAT), NOW)

    @property
    def held(self):
        return self.ledger.under_way, len(self.under_way), len(self.queueing), self.member.in_flight


async def test_a_request_waits_until_there_is_room():
    rig = Rig(size=10)
    rig.engine_has(waiting=100.0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rig.ask())
        await asyncio.sleep(0)
        assert rig.held == (1, 0, 1, 0)
        rig.clock.advance(2)
        rig.engine_has(waiting=0.0)
    assert isinstance(task.result(), Allowed)
    assert rig.held == (1, 1, 0, 1)
    (passed,) = rig.under_way
    assert passed.waited == 2


@pytest.mark.parametrize(
    ("size", "wait", "words"), [(0, "30", "none waits here"), (10, "0.01", "none was free in time")]
)
async def test_who_does_not_go_on_gives_everything_back(size, wait, words):
    rig = Rig(size, wait)
    rig.engine_has(waiting=100.0)
    found = rig.ask()
    verdict = found if isinstance(found, Denied) else await found
    assert verdict.status == 429
    assert verdict.retry_after >= 1
    assert words in verdict.body.decode()
    assert rig.held == (0, 0, 0, 0)


async def test_a_client_that_goes_gives_everything_back():
    rig = Rig(size=10)
    rig.engine_has(waiting=100.0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rig.ask())
        await asyncio.sleep(0)
        assert rig.held == (1, 0, 1, 0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert rig.held == (0, 0, 0, 0)
