"""What the Envoy data plane knows without an Envoy: names, and counts by instance."""

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.model.module import InstanceId
from marchproxy.nlb.dataplane.envoy import EnvoyDataPlane
from marchproxy.nlb.dataplane.names import resolve
from marchproxy.nlb.dataplane.plane import ConnectionCounts, TrafficCounts
from marchproxy.nlb.settings import NlbSettings


def test_a_state_directory_too_deep_for_a_socket_is_refused(tmp_path):
    with pytest.raises(ValueError, match="107 bytes"):
        EnvoyDataPlane(NlbSettings(state_dir=tmp_path / ("x" * 107)), clock=SystemClock())


async def test_names_are_resolved_and_unknown_ones_left_out():
    found = await resolve(["127.0.0.1", "::1", "localhost", "no-such-host.invalid"])
    assert found["127.0.0.1"] == "127.0.0.1"
    assert found["::1"] == "::1"
    assert found["localhost"] in {"127.0.0.1", "::1"}
    assert "no-such-host.invalid" not in found


def test_counts_of_an_instance_are_those_of_all_its_listeners():
    one, other = InstanceId("a"), InstanceId("b")
    counts = TrafficCounts(
        endpoints={
            ("web", one): ConnectionCounts(1, 10, 2),
            ("api", one): ConnectionCounts(3, 30, 0),
            ("web", other): ConnectionCounts(9, 9, 9),
        }
    )
    assert counts.of_instance(one) == ConnectionCounts(4, 40, 2)
    assert counts.of_instance(InstanceId("c")) is None
