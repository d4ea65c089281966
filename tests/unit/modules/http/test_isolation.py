"""A document of which Envoy refuses a part, against an Envoy that refuses what it is told to."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.validation import Fault
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.snapshot import Snapshot, check
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.isolation import Isolation
from marchproxy.modules.http.mixture import Inputs
from marchproxy.modules.http.publication import Rejected
from marchproxy.modules.http.quarantine import NOTHING_HELD
from marchproxy.modules.http.resources import Builder, ListenerSpec
from marchproxy.modules.http.resources.endpoints import Target
from marchproxy.modules.http.resources.pools import PoolFindings

COUNT = 64
BEFORE = Inputs(decode(b"pools: [{name: p}]\nroutes: [{id: old, path: /old, backends: [p]}]"))


def document(*patterns: str) -> Inputs:
    """Many sound routes, then one for each pattern."""
    odd = "\n".join(
        f"- {{id: odd{n}, path: {{regex: '{pattern}'}}, backends: [p]}}" for n, pattern in enumerate(patterns)
    )
    plain = "\n".join(f"- {{id: r{n}, path: /r{n}, backends: [p]}}" for n in range(COUNT))
    text = f"pools: [{{name: p}}]\nroutes:\n- {{id: old, path: /old, backends: [p]}}\n{plain}\n{odd}"
    return Inputs(decode(text.encode()))


class Envoy:
    """Runs what `judge` finds nothing wrong with; of what is published it says which type it refused, and no more."""

    def __init__(self, judge: Callable[[DesiredState], str | None], *, tells: bool = False) -> None:
        self.judge_state = judge
        self.tells = tells
        self.builder = Builder([ListenerSpec("http", "127.0.0.1", 10000)])
        self.states: dict[int, DesiredState] = {}
        self.ran: list[DesiredState] = []
        self.asked = 0

    def build(self, inputs: Inputs) -> Snapshot:
        snapshot = check(self.builder.build(inputs.state, inputs.credentials, inputs.findings))
        self.states[id(snapshot)] = inputs.state
        self._alive = snapshot
        return snapshot

    async def judge(self, inputs: Inputs) -> Snapshot:
        return self.build(inputs)

    async def publish(self, snapshot: Snapshot) -> None:
        self.asked += 1
        state = self.states[id(snapshot)]
        reason = self.judge_state(state)
        if reason is not None:
            raise Rejected([Fault(ResourceType.ROUTE, "routes", "", reason)], snapshot, beforehand=False)
        self.ran.append(state)


def ids(state: DesiredState) -> set[str]:
    return {str(route.route_id) for route in state.routes}


def regexes(*bad: str) -> Callable[[DesiredState], str | None]:
    def judge(state: DesiredState) -> str | None:
        return next(
            (f"invalid: {one}" for one in bad for route in state.routes if one in route.match.path.value),
            None,
        )

    return judge


async def test_the_culprits_are_found_and_nothing_that_served_is_lost_meanwhile() -> None:
    envoy = Envoy(regexes("(?=a)", "(?!b)"))
    offered, held = await Isolation(envoy).serve(BEFORE, document("/a(?=a)", "/b", "/c(?!b)"), NOTHING_HELD)
    assert {item.name for item in held.held} == {"odd0", "odd2"}
    assert {problem.path for problem in held.problems} == {
        f"routes[{COUNT + 1}].path",
        f"routes[{COUNT + 3}].path",
    }
    assert all("old" in ids(state) for state in envoy.ran)
    assert envoy.ran[-1] == offered.state
    assert {"r0", f"r{COUNT - 1}", "odd1"} <= ids(offered.state)
    assert [r.response.status for r in offered.state.routes if r.route_id == "odd0" and r.response] == [500]


async def test_a_hint_in_its_words_saves_most_of_the_questions() -> None:
    def blunt(state: DesiredState) -> str | None:
        return "no" if regexes("(?=a)")(state) else None

    told, guessed = Envoy(regexes("(?=a)")), Envoy(blunt)
    for envoy in (told, guessed):
        _, held = await Isolation(envoy).serve(BEFORE, document("/a(?=a)"), NOTHING_HELD)
        assert [item.name for item in held.held] == ["odd0"]
    assert told.asked <= 5
    assert guessed.asked <= 20


async def test_what_is_refused_even_as_an_answer_is_left_out() -> None:
    def hates_the_id(state: DesiredState) -> str | None:
        return "bad name" if "odd0" in ids(state) else None

    envoy = Envoy(hates_the_id)
    offered, held = await Isolation(envoy).serve(BEFORE, document("/a"), NOTHING_HELD)
    assert [item.name for item in held.held] == ["odd0"]
    assert "odd0" not in ids(offered.state)


async def test_when_nothing_is_to_blame_it_is_refused_as_a_whole() -> None:
    envoy = Envoy(lambda state: "all of it" if state.rate_limits else None)
    limit = decode(b'rate_limits: [{id: l, target: "*", requests_per_second: 1}]').rate_limits
    limited = replace(document(), state=replace(document().state, rate_limits=limit))
    with pytest.raises(Refused, match="all of it") as refused:
        await Isolation(envoy).serve(BEFORE, limited, NOTHING_HELD)
    assert refused.value.code is RefusalCode.INVALID_ARGUMENT
    assert envoy.asked == 2


async def test_endpoints_that_were_found_and_are_refused_leave_those_before() -> None:
    state = BEFORE.state

    def found(host: str) -> Inputs:
        return Inputs(state, {}, PoolFindings(endpoints={state.pools[0].name: (Target(f"{host}:1"),)}))

    class Picky(Envoy):
        async def publish(self, snapshot: Snapshot) -> None:
            if any(b"10.0.0.9" in one.body.value for one in snapshot.of(ResourceType.ENDPOINT).values()):
                fault = Fault(ResourceType.ENDPOINT, "pool.p", "", "no")
                raise Rejected([fault], snapshot, beforehand=False)
            await super().publish(snapshot)

    offered, held = await Isolation(Picky(lambda _: None)).serve(
        found("10.0.0.1"), found("10.0.0.9"), NOTHING_HELD
    )
    assert held is NOTHING_HELD or not held.held
    assert offered.findings == found("10.0.0.1").findings
