"""One scrape of an NLB gives what its planes carry, and what its Envoy counts of itself."""

import asyncio
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol
from tests.nlb_module import TinyModule
from tests.ports import free_port
from tests.real.nlb_rig import nlb_process
from tests.real.plane_rig import talk
from tests.real.test_nlb import registered


def scrape(port: int) -> dict[str, float]:
    """Samples as Prometheus writes them, each family once."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in families
        for sample in family.samples
    }


async def test_one_scrape_tells_of_the_nlb_and_of_its_envoy(tmp_path):
    web = Listener("web", "127.0.0.1", free_port(), Protocol.HTTP)
    async with nlb_process(tmp_path, web) as (nlb, stub), registered(stub, TinyModule("a")):
        for _ in range(3):
            async with talk(web.port, send=b"hello\n") as conversation:
                assert await conversation.reader.readline()
        wanted = {
            "marchproxy_envoy_up{}": 1,
            "marchproxy_envoy_live{}": 1,
            "marchproxy_envoy_xds_connected{}": 1,
            f"marchproxy_envoy_listener_connections_total{{address=127.0.0.1:{web.port}}}": 3,
            "marchproxy_envoy_instances_connections_total{listener=web}": 3,
            "marchproxy_envoy_instances_endpoints{listener=web,state=total}": 1,
            "marchproxy_nlb_accepted_connections_total{listener=web}": 3,
        }
        async with asyncio.timeout(30):
            while True:
                seen = await asyncio.to_thread(scrape, nlb.metrics_port)
                if {name: seen.get(name) for name in wanted} == wanted:
                    break
                await asyncio.sleep(0.2)
        assert seen["marchproxy_envoy_xds_updates_total{result=ok,type=listener}"] >= 1
        assert seen["marchproxy_envoy_memory_allocated_bytes{}"] > 1e6
