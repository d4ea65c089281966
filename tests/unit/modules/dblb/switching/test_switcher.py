"""The switch carried out, with workers and servers that are played."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.model.database import DatabaseRoute
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.plan import Files, Upstream, compile_plan
from marchproxy.modules.dblb.switching.following import NotKnown
from marchproxy.modules.dblb.switching.switcher import Switcher, moves, staying

R = RouteId("shop")


def state(writes: str, timeout: float = 1.0) -> DesiredState:
    pools = tuple(
        BackendPool(PoolName(name), endpoints=(Endpoint("127.0.0.1:5432"),)) for name in ("blue", "green")
    )
    refs = (BackendRef(PoolName("blue"), 100), BackendRef(PoolName("green"), 0))
    options = DatabaseRoute(writes=PoolName(writes), switch_timeout=timeout)
    return DesiredState(
        pools=pools, routes=(Route(R, backends=refs, protocol=Protocol.POSTGRES, database=options),)
    )


class Crew:
    """Writes down what it is told."""

    def __init__(self, served: Sequence[DesiredState] = ()) -> None:
        self.heard: list[str] = []
        self.served = served
        self.in_use = [2, 1, 0]
        self.refuses_to = ""

    async def serving(self) -> Sequence[DesiredState]:
        return self.served

    async def apply(self, state: DesiredState, files: Files) -> None:
        self._hear(f"apply {state.routes[0].database.writes}")

    async def pause(self, routes: Sequence[RouteId], seconds: float) -> None:
        assert list(routes) == [R]
        self._hear(f"pause {'until told' if not seconds else 'for a while'}")

    async def busy(self, route: RouteId) -> int:
        return self.in_use.pop(0) if len(self.in_use) > 1 else self.in_use[0]

    async def resume(self) -> None:
        self._hear("resume")

    def _hear(self, words: str) -> None:
        self.heard.append(words)
        if words == self.refuses_to:
            raise Refused(RefusalCode.UNAVAILABLE, "a worker does not answer")


class Following:
    """Plays servers. `lacks`: what is behind, question for question; the last goes on."""

    def __init__(self, lacks: Sequence[str] = ("slot at 1", ""), fault: str = "") -> None:
        self.lacks = list(lacks)
        self.fault = fault
        self.pools: list[str] = []
        self.closed = False
        self.hangs = False
        self.asked = asyncio.Event()

    def __call__(self, old: Upstream, new: Upstream) -> "Following":
        self.pools = [old.name, new.name]
        return self

    async def check(self) -> None:
        if self.fault == "hangs":
            await asyncio.sleep(60)
        if self.fault:
            raise NotKnown(self.fault)

    async def mark(self) -> str:
        self.asked.set()
        if self.hangs:
            await asyncio.sleep(60)
        return "0/7"

    async def behind(self, mark: str) -> str:
        assert mark == "0/7"
        return self.lacks.pop(0) if len(self.lacks) > 1 else self.lacks[0]

    def close(self) -> None:
        self.closed = True


def switcher(crew: Crew, following: Following) -> Switcher:
    return Switcher(crew, {Protocol.POSTGRES: following}, clock=SystemClock())  # type: ignore[arg-type]


async def test_writes_move_once_the_new_pool_has_everything():
    crew, following = Crew(), Following()
    one = switcher(crew, following)
    await one.apply(state("blue"), {})
    await one.apply(state("green"), {})
    assert crew.heard == [
        "apply blue", "pause for a while", "pause until told", "apply green", "resume",
    ]  # fmt: skip
    assert (following.pools, following.closed) == (["blue", "green"], True)
    await one.apply(state("green"), {})  # nothing moves
    assert crew.heard[5:] == ["apply green"]


@pytest.mark.parametrize(
    ("change", "words", "told"),
    [
        ({"fault": "no subscription"}, "no subscription", []),
        (
            {"lacks": ["slot at 1"]},
            "within 1 s the new pool did not get there: slot at 1",
            ["pause for a while", "resume"],
        ),
        ({"in_use": [4]}, "4 server connections were still in use", ["pause for a while", "resume"]),
        (
            {"refuses_to": "pause for a while"},
            "a worker does not answer",
            ["pause for a while", "resume"],
        ),
        (
            {"refuses_to": "pause until told"},
            "a worker does not answer",
            ["pause for a while", "pause until told", "resume"],
        ),
        (
            {"refuses_to": "apply green"},
            "a worker does not answer",
            ["pause for a while", "pause until told", "apply green", "resume"],
        ),
    ],
)
async def test_otherwise_the_change_is_refused_with_what_was_waited_for(
    change: dict[str, object], words: str, told: list[str]
):
    crew, following = Crew(), Following()
    one = switcher(crew, following)
    await one.apply(state("blue"), {})
    for name, value in change.items():
        setattr(following if hasattr(following, name) else crew, name, value)
    with pytest.raises(Refused, match=words) as refused:
        await one.apply(state("green"), {})
    assert crew.heard[1:] == told
    assert refused.value.message.startswith(
        "the writes of route shop stay on blue and do not move to green: "
    )
    assert [problem.path for problem in refused.value.problems] == ["routes[0].database.writes"]
    crew.refuses_to, crew.in_use, following.fault, following.lacks = "", [0], "", [""]
    crew.heard.clear()
    await one.apply(state("green"), {})  # again, and it is still a move
    assert crew.heard[-2:] == ["apply green", "resume"]


async def test_who_is_interrupted_leaves_nobody_paused():
    crew, following = Crew(), Following()
    one = switcher(crew, following)
    await one.apply(state("blue"), {})
    following.hangs = True
    change = asyncio.create_task(one.apply(state("green", timeout=60), {}))
    await following.asked.wait()
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    assert crew.heard[1:] == ["pause for a while", "resume"]
    assert following.closed


async def test_a_server_that_does_not_answer_is_not_waited_for_longer_than_the_switch_may_take():
    crew, following = Crew(), Following()
    one = Switcher(crew, {Protocol.POSTGRES: following}, clock=VirtualClock())  # type: ignore[arg-type]
    await one.apply(state("blue"), {})
    following.fault = "hangs"
    with pytest.raises(
        Refused, match=r"nobody answered within 0\.05 s while waiting to hear that the new pool"
    ):
        await one.apply(state("green", timeout=0.05), {})
    assert crew.heard == ["apply blue"]


async def test_at_a_start_the_rest_of_the_state_holds() -> None:
    crew, following = Crew([state("blue")]), Following(fault="no subscription")
    one = switcher(crew, following)
    (problem,) = await one.apply(state("green"), {}, stay=True)
    assert problem.path == "routes[0].database.writes"
    assert crew.heard == ["apply blue", "apply blue"]
    following.fault = ""
    assert await one.apply(state("green"), {}) == ()  # it is still a move
    assert crew.heard[-2:] == ["apply green", "resume"]


def test_nothing_stays_on_a_pool_that_the_route_has_no_more() -> None:
    files: Files = {}
    (move,) = moves(compile_plan(state("blue"), files)[0], compile_plan(state("green"), files)[0])
    wanted = state("green")
    assert staying(wanted, [move]) == state("blue")
    alone = replace(wanted.routes[0], backends=(BackendRef(PoolName("green"), 100),))
    assert staying(replace(wanted, routes=(alone,)), [move]) is None


async def test_after_a_restart_workers_say_where_writes_are():
    crew = Crew([state("blue")])
    await switcher(crew, Following()).apply(state("green"), {})
    assert crew.heard == [
        "apply blue", "pause for a while", "pause until told", "apply green", "resume",
    ]  # fmt: skip


async def test_after_a_restart_in_the_middle_of_a_flip_it_goes_on():
    crew, following = Crew([state("blue"), state("green")]), Following(fault="nobody is asked")
    await switcher(crew, following).apply(state("green"), {})
    assert crew.heard == ["apply green"]
