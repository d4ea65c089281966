"""What Prometheus gets."""

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.base.exposition import MOST_SERIES, ModuleCollector
from marchproxy.modules.base.observation import Traffic
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
    engine.seen = replace(engine.seen, routes={'sh"op': Traffic(3)}, traffic=Traffic(5))
    lines = await exposed(engine)
    assert "marchproxy_module_requests_total 5.0" in lines
    assert 'marchproxy_module_route_requests_total{route="sh\\"op"} 3.0' in lines


async def test_it_is_bounded() -> None:
    engine = EngineDouble()
    engine.seen = replace(engine.seen, routes={f"r{number}": Traffic(1) for number in range(MOST_SERIES)})
    assert len(await exposed(engine)) == MOST_SERIES + 1
