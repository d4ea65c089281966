"""The engine over a crew that only notes what it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from marchproxy.contract.document import decode
from marchproxy.kit.clock import VirtualClock
from marchproxy.model.module import HealthStatus, ModuleType, Protocol, TrafficEndpoint
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import Isolate
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.engine import DblbEngine
from marchproxy.modules.dblb.plan import Files
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import Tally, TallyKey

SERVED = (TrafficEndpoint("postgres", Protocol.POSTGRES, "127.0.0.1:6432"),)
PRIMARY = ServerReport("p", "a:1", "primary", 0.001)
DOWN = ServerReport("p", "a:1", "unknown", fault="connection refused")
SILENT = Refused(RefusalCode.UNAVAILABLE, "no worker answers")


@dataclass
class CrewDouble:
    """Notes what it is told; refuses when `refusal` is set."""

    told: list[tuple[DesiredState, Files]] = field(default_factory=list)
    refusal: Refused | None = None
    instances: int = 1
    checks: dict[str, str] = field(default_factory=lambda: {"worker:0": "ok"})
    counted: Counted = Counted()
    seen: tuple[ServerReport, ...] = ()
    asked: tuple[ServerReport, ...] = ()
    drained: list[float] = field(default_factory=list)

    async def apply(self, state: DesiredState, files: Files) -> None:
        self._answer()
        self.told.append((state, files))

    def divide(self, instances: int) -> None:
        self.instances = instances

    def health(self) -> Mapping[str, str]:
        return self.checks

    async def count(self) -> Counted:
        self._answer()
        return self.counted

    async def servers(self) -> Sequence[ServerReport]:
        self._answer()
        return self.seen

    async def check(self) -> Sequence[ServerReport]:
        self._answer()
        return self.asked

    async def serving(self) -> Sequence[DesiredState]:
        return [self.told[-1][0]] if self.told else []

    async def pause(self, routes: Sequence[RouteId], seconds: float) -> None: ...

    async def busy(self, route: RouteId) -> int:
        return 0

    async def resume(self) -> None: ...

    async def renew(self, finish_seconds: float | None) -> str:
        return f"renewed within {finish_seconds}"

    async def drain(self, seconds: float) -> int:
        self.drained.append(seconds)
        return 3

    def _answer(self) -> None:
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def crew() -> CrewDouble:
    return CrewDouble()


@pytest.fixture
def engine(crew: CrewDouble) -> DblbEngine:
    return DblbEngine(crew, SERVED, clock=VirtualClock())


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people"
    path.write_text('"ann" "secret"\n')
    return path


def state_of(people: Path) -> DesiredState:
    return decode(
        f"""
authentication: [{{name: people, kind: userlist, file: {people}}}]
pools: [{{name: p, protocol: postgres, endpoints: ["a:1"]}}]
routes:
  - {{id: known, protocol: postgres, backends: [p], authentication: [people], database: {{databases: [shop]}}}}
  - {{id: open, protocol: postgres, backends: [p], database: {{databases: [wiki]}}}}
""".encode()
    )


def ids(state: DesiredState) -> list[str]:
    return [route.route_id for route in state.routes]


async def test_all_workers_are_told_the_state_and_its_files(
    engine: DblbEngine, crew: CrewDouble, people: Path
):
    state = state_of(people)
    assert list(engine.faults(state)) == []
    assert await engine.rehearse(state) == ()
    assert crew.told == []
    assert await engine.apply(state) == ()
    assert crew.told == [(state, {str(people): b'"ann" "secret"\n'})]
    assert engine.health().status is HealthStatus.HEALTHY


@pytest.mark.parametrize("isolate", [Isolate.NOTHING, Isolate.REJECTED])
async def test_a_file_of_no_use_is_refused(
    engine: DblbEngine, crew: CrewDouble, people: Path, isolate: Isolate
):
    people.write_text("ann")
    state = state_of(people)
    (problem,) = await engine.rehearse(state, isolate)
    assert problem.path == "authentication[0].file"
    with pytest.raises(Refused) as refused:
        await engine.apply(state, isolate)
    assert refused.value.problems == (problem,)
    assert crew.told == []


async def test_at_a_start_a_faulty_route_is_set_aside_until_its_file_is_of_use(
    engine: DblbEngine, crew: CrewDouble, people: Path
):
    people.unlink()
    (problem,) = await engine.apply(state_of(people), Isolate.FAULTY)
    assert str(problem) == f"authentication[0].file: {people}: cannot be read: No such file or directory"
    assert [ids(state) for state, _ in crew.told] == [["open"]]
    health = engine.health()
    assert health.status is HealthStatus.DEGRADED
    assert "set aside: authentication[0].file" in health.message
    await engine.observe()
    assert len(crew.told) == 1
    people.write_text('"ann" "secret"\n')
    await engine.observe()
    assert [ids(state) for state, _ in crew.told] == [["open"], ["known", "open"]]
    assert engine.health().status is HealthStatus.HEALTHY


async def test_what_is_set_aside_hinders_no_other_change(
    engine: DblbEngine, crew: CrewDouble, people: Path, tmp_path: Path
):
    people.unlink()
    state = state_of(people)
    await engine.apply(state, Isolate.FAULTY)
    more = replace(
        state, authentication=(replace(state.authentication[0], name="more"), *state.authentication)
    )
    assert await engine.rehearse(more) == ()
    (problem,) = await engine.apply(more)
    assert problem.path == "authentication[1].file"
    assert await engine.rehearse(more, Isolate.REJECTED) == (problem,)
    fresh = replace(state, authentication=(replace(state.authentication[0], file=f"{tmp_path}/other"),))
    with pytest.raises(Refused, match="other: cannot be read"):
        await engine.apply(fresh)


async def test_tls_with_servers_is_looked_at_before(engine: DblbEngine, crew: CrewDouble, tmp_path: Path):
    text = f"pools: [{{name: p, protocol: postgres, endpoints: ['a:1'], tls: {{ca: {tmp_path}/no.pem}}}}]\n"
    state = decode((text + "routes: [{id: r, protocol: postgres, backends: [p]}]").encode())
    (problem,) = await engine.rehearse(state)
    assert problem.path == "pools[0].tls"
    assert f"{tmp_path}/no.pem" in problem.message


async def test_what_the_crew_refuses_is_refused(engine: DblbEngine, crew: CrewDouble, people: Path):
    crew.refusal = SILENT
    with pytest.raises(Refused, match="no worker answers"):
        await engine.apply(state_of(people))
    with pytest.raises(Refused, match="no worker answers"):
        await engine.observe()


async def test_a_deep_check_asks_the_servers(engine: DblbEngine, crew: CrewDouble):
    crew.seen, crew.asked = (PRIMARY,), (DOWN,)
    await engine.observe()
    assert engine.health().checks["pool:p"] == "1 of 1 servers answer: a:1 primary, 1.0 ms"
    found = await engine.check()
    assert (found.status, found.checks["pool:p"]) == (
        HealthStatus.DEGRADED,
        "0 of 1 servers answer: a:1 connection refused",
    )
    assert engine.health() == found
    crew.refusal = SILENT
    assert (await engine.check()).status is HealthStatus.UNHEALTHY


async def test_counts_are_observed_and_told(engine: DblbEngine, crew: CrewDouble):
    tally = Tally()
    tally.queries = 5
    crew.counted = Counted(
        {TallyKey("postgres", "known", "p", "shop", "ann"): tally}, clients=2, memory_mb=1000
    )
    seen = await engine.observe()
    assert (seen.routes["known"].requests, seen.active_connections) == (5, 2)
    assert seen.memory_mb > 1000
    crew.refusal = SILENT  # what was counted last is told
    assert b'marchproxy_dblb_queries_total{protocol="postgres",route="known"' in await engine.exposition()


async def test_whose_sessions_are_taken_and_where_they_go(engine: DblbEngine, crew: CrewDouble, people: Path):
    state = state_of(people)
    asked = Route(RouteId(""), protocol=Protocol.POSTGRES)
    verdict = engine.can_handle(state, asked, {"database": "shop"})
    assert verdict.details["route_id"] == "known"
    crew.seen = (PRIMARY,)
    (choice,) = await engine.choices(state, RouteId("known"), asked, {})
    assert [(one.address, one.probability) for one in choice.endpoints] == [("a:1", 1.0)]
    assert await engine.choices(state, RouteId("other"), asked, {}) == ()


async def test_the_rest_is_the_crews(engine: DblbEngine, crew: CrewDouble):
    assert (engine.module_type, engine.endpoints()) == (ModuleType.DBLB, SERVED)
    engine.divide(4)
    assert engine.instances == crew.instances == 4
    assert await engine.renew(1.5) == "renewed within 1.5"
    assert await engine.drain(2.0) == 3
    assert crew.drained == [2.0]
    assert engine.health().status is HealthStatus.STOPPING
