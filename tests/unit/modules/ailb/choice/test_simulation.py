"""Requests with common beginnings, over engines whose caches hold a part of them: how much is found there, how evenly."""

import json
from collections import Counter, OrderedDict
from heapq import heappop, heappush
from random import Random

import pytest

from marchproxy.model.ai import AiPool, Pick, Provider
from marchproxy.model.model_names import ModelPatterns
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.ailb.choice import Chooser, Chosen, Outcome, Prompt, Wanted
from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.load import EngineLoad
from marchproxy.modules.ailb.plan import ModelPlan, PoolPlan, Target

ENGINES = 8
GROUPS = 64
REQUESTS = 12_000
RATE = 400.0  # a second
BLOCKS = 600  # of an engine's cache: room for a sixth of the beginnings
SEATS = 64
SCRAPE = 0.05


class Engine:
    """A cache of blocks, least recently used goes first; seats, and a queue for whoever finds none."""

    def __init__(self):
        self.cache = OrderedDict()
        self.running = self.waiting = self.served = 0

    def prefill(self, blocks):
        cached = 0
        while cached < len(blocks) and blocks[cached] in self.cache:
            cached += 1
        for block in reversed(blocks):
            self.cache[block] = None
            self.cache.move_to_end(block)
        while len(self.cache) > BLOCKS:
            self.cache.popitem(last=False)
        self.served += 1
        return cached

    def load(self):
        return EngineLoad(max(0, self.running - SEATS), min(self.running, SEATS), 0.3, BLOCKS * 16)


def prompts(dice):
    """A system prompt of one of the groups, some more usual than others, and a question of one's own."""
    beginnings = ["".join(dice.choices("abcdefghij ", k=64 * 60)) for _ in range(GROUPS)]
    popularity = [1 / (1 + rank) ** 0.5 for rank in range(GROUPS)]
    for number in range(REQUESTS):
        (beginning,) = dice.choices(beginnings, popularity)
        question = f"{number} " + "".join(dice.choices("klmnopqrst ", k=200))
        messages = [{"role": "system", "content": beginning}, {"role": "user", "content": question}]
        text = json.dumps({"model": "m", "messages": messages})
        yield Prompt(Operation.CHAT, Body.read(text.encode()), "m")


def simulate(pick, seed=7):
    """The part of all blocks that was cached, and requests by engine."""
    dice = Random(seed)
    chooser = Chooser(Random(seed + 1))
    pool = PoolPlan(BackendPool("p"), AiPool(Provider.VLLM, pick=pick), ModelPatterns(()))
    model = ModelPlan("m", (Target(pool, "m", 100, 0),))
    engines = {f"10.0.0.{number}:80": Engine() for number in range(ENGINES)}
    chooser.configure({"p": pool}, {"p": [Endpoint(address) for address in engines]}, 0.0)
    now, scraped, ends = 0.0, -1.0, []
    cached = total = 0
    for number, prompt in enumerate(prompts(dice)):
        now += dice.expovariate(RATE)
        while ends and ends[0][0] <= now:
            at, _, address, chosen = heappop(ends)
            engines[address].running -= 1
            chooser.ended(chosen, Outcome(200, 1, 0.1), at)
        if now - scraped >= SCRAPE:
            scraped = now
            for member in chooser.members("p"):
                member.asked()
                member.heard(engines[member.address].load(), now)
        chosen = chooser.choose(Wanted(model, prompt), now)
        assert isinstance(chosen, Chosen)
        address = chosen.attempts[0].member.address
        engine = engines[address]
        hit = engine.prefill(prompt.blocks)
        cached, total = cached + hit, total + len(prompt.blocks)
        engine.running += 1
        took = 0.2 + 0.005 * (len(prompt.blocks) - hit) + dice.random() * 0.2
        heappush(ends, (now + took, number, address, chosen))
    return cached / total, Counter({address: engine.served for address, engine in engines.items()})


def test_who_ignores_prompts_finds_one_in_n():
    rate, _ = simulate(Pick.LEAST_PENDING)
    assert rate < 2 / ENGINES


@pytest.mark.parametrize("seed", [7, 8])
def test_prompts_go_where_their_beginning_is_and_all_engines_have_as_many(seed):
    rate, served = simulate(Pick.SCORED, seed)
    assert rate > 0.8
    assert max(served.values()) / min(served.values()) < 1.3
