"""Whatever happens to pools and requests: what is under way adds up, and nobody is asked who is not there."""

from collections import Counter
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from marchproxy.model.ai import AiPool, Pick, Prefer, Provider
from marchproxy.model.model_names import ModelPatterns
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.ailb.choice import FULL, NOBODY, Chooser, Chosen, Outcome, Wanted
from marchproxy.modules.ailb.load import EngineLoad
from marchproxy.modules.ailb.plan import ModelPlan, PoolPlan, Target

NAMES = ("a", "b", "c")
ENDPOINTS = st.lists(
    st.builds(Endpoint, st.sampled_from([f"10.0.0.{at}:80" for at in range(4)]), st.integers(1, 100)),
    max_size=4,
    unique_by=lambda endpoint: endpoint.address,
)
PLACES = st.dictionaries(st.sampled_from(NAMES), ENDPOINTS)
STATUSES = st.sampled_from([None, 0, 200, 400, 401, 429, 500, 503])


def plan(name, pick):
    return PoolPlan(BackendPool(name), AiPool(Provider.VLLM, pick=pick), ModelPatterns(()))


class ChooserMachine(RuleBasedStateMachine):
    """A chooser, and what a plain count says of it."""

    def __init__(self):
        super().__init__()
        self.chooser = Chooser(Random(1))
        self.plans = {}
        self.places = {}
        self.out = {}
        self.open = []
        self.now = 100.0

    @rule(places=PLACES, pick=st.sampled_from(Pick))
    def configure(self, places, pick):
        self.plans = {name: plan(name, pick) for name in places}
        self.places = places
        self.out = {name: out for name, out in self.out.items() if name in places}
        self.chooser.configure(self.plans, places, self.now)

    @rule(name=st.sampled_from(NAMES), out=st.sets(st.sampled_from([f"10.0.0.{at}:80" for at in range(4)])))
    def keep_out(self, name, out):
        self.chooser.keep_out(name, out, self.now)
        if name in self.plans:
            self.out[name] = out

    @rule(
        tiers=st.tuples(*[st.integers(0, 2)] * 3),
        weights=st.tuples(*[st.sampled_from([0, 1, 100])] * 3),
        prefer=st.sampled_from(Prefer),
        attempts=st.integers(1, 5),
        affinity=st.sampled_from(["", "me", "you"]),
    )
    def choose(self, tiers, weights, prefer, attempts, affinity):
        targets = tuple(
            Target(self.plans[name], "m", weight, tier)
            for name, weight, tier in zip(NAMES, weights, tiers, strict=True)
            if name in self.plans
        )
        usable = [one.pool.name for one in targets if one.weight and self.places[one.pool.name]]
        found = self.chooser.choose(
            Wanted(ModelPlan("m", targets, prefer), None, attempts, affinity), self.now
        )
        if not isinstance(found, Chosen):
            assert found is (FULL if usable else NOBODY)
            return
        self.open.append(found)
        assert len(found.attempts) == attempts
        assert set(found.pools) <= set(usable)
        for target, members, member in found.attempts:
            name = target.pool.name
            assert member in list(members)
            assert member.address in {endpoint.address for endpoint in self.places[name]}

    @rule(data=st.data(), status=STATUSES, attempts=st.integers(0, 6), twice=st.booleans())
    def end(self, data, status, attempts, twice):
        if self.open:
            chosen = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
            for _ in range(1 + twice):
                self.chooser.ended(chosen, Outcome(status, attempts, 0.1), self.now)

    @rule(
        name=st.sampled_from(NAMES), waiting=st.integers(0, 9), running=st.integers(0, 9), kv=st.floats(0, 1)
    )
    def hear(self, name, waiting, running, kv):
        for member in self.chooser.members(name) or ():
            member.asked()
            member.heard(EngineLoad(waiting, running, kv, 160), self.now)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 70.0]))
    def wait(self, seconds):
        self.now += seconds
        self.chooser.sweep(self.now)

    @invariant()
    def what_is_under_way_adds_up(self):
        under_way = Counter(id(chosen.attempts[0].member) for chosen in self.open)
        for name in self.plans:
            members = self.chooser.members(name)
            for member in members:
                assert member.in_flight == under_way[id(member)]
            assert members.in_flight == sum(chosen.attempts[0].members is members for chosen in self.open)

    @invariant()
    def who_is_out_is_not_sound(self):
        for standing in self.chooser.standings(self.now):
            assert not (standing.is_sound and standing.address in self.out.get(standing.pool, ()))
            assert standing.there >= 0
            assert standing.waiting >= 0


TestChooser = ChooserMachine.TestCase
TestChooser.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
