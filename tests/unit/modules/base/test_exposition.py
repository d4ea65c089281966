"""What Prometheus gets."""

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.series import Point
from marchproxy.modules.base.exposition import MOST_SERIES, ModuleCollector
from marchproxy.modules.base.observation import PoolSeen, Traffic
from marchproxy.modules.base.sampler import Sampler
from tests.unit.modules.doubles import EngineDouble


async def exposed(engine: EngineDouble, *, look: bool = True) -> list[str]:
    sampler = Sampler(engine, clock=VirtualClock())
    if look:
        await sampler.look()
    registry = CollectorRegistry()
    registry.register(ModuleCollector(sampler, lambda: 2))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


async def test_before_the_first_look() -> None:
    assert await exposed(EngineDouble(), look=False) == ["marchproxy_module_nlbs_registered 2.0"]


async def test_the_newest_frame() -> None:
    engine = EngineDouble()
    engine.seen = replace(engine.seen, status_classes={'2"x': 3}, traffic=Traffic(5))
    lines = await exposed(engine)
    assert "marchproxy_module_requests_total 5.0" in lines
    assert 'marchproxy_module_responses_total{class="2\\"x"} 3.0' in lines


async def test_routes_and_pools_are_the_engines_own_to_tell() -> None:
    engine = EngineDouble()
    engine.seen = replace(engine.seen, routes={"shop": Traffic(3)}, pools={"blue": PoolSeen(Traffic(3))})
    assert not [line for line in await exposed(engine) if "route" in line or "pool" in line]


async def test_counters_go_on_when_the_engine_starts_anew() -> None:
    engine = EngineDouble()
    sampler = Sampler(engine, clock=VirtualClock())
    registry = CollectorRegistry()
    registry.register(ModuleCollector(sampler, lambda: 2))
    told = []
    for requests in (5, 7, 2, 3, 0, 4):
        engine.seen = replace(engine.seen, traffic=Traffic(requests))
        await sampler.look()
        told.append(registry.get_sample_value("marchproxy_module_requests_total"))
        assert told[-1] == registry.get_sample_value(
            "marchproxy_module_requests_total"
        )  # asking changes nothing
    assert told == [5, 7, 9, 10, 10, 14]


async def test_types() -> None:
    sampler = Sampler(EngineDouble(), clock=VirtualClock())
    await sampler.look()
    kinds = {family.name: family.type for family in ModuleCollector(sampler, lambda: 2).collect()}
    assert kinds["marchproxy_module_requests"] == "counter"
    assert kinds["marchproxy_module_connections_active"] == "gauge"


async def test_it_is_bounded() -> None:
    engine = EngineDouble()
    engine.seen = replace(engine.seen, points=tuple(Point(f"p{number}", 1) for number in range(MOST_SERIES)))
    assert len(await exposed(engine)) == MOST_SERIES + 1
