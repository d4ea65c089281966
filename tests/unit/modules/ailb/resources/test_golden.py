"""Desired state in, an AILB's Envoy resources out: one folder per feature in tests/golden/ailb."""

from pathlib import Path

import pytest
import yaml
from envoy.config.route.v3 import route_pb2

from marchproxy.engines.envoy.xds.kinds import ResourceType
from tests.golden.ailb.cases import CASES, resources, snapshot_of


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_resources(case: Path, update_golden: bool) -> None:
    built = resources(case)
    golden = case / "resources.yaml"
    if update_golden:
        golden.write_text(yaml.safe_dump(built, sort_keys=True, width=110))
    assert yaml.safe_load(golden.read_text()) == built, "if the difference is meant, run with --update-golden"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_next_attempt_may_go_to_another_pool(case: Path) -> None:
    """Golden files have no field that our generated messages do not know."""
    (resource,) = snapshot_of(case).of(ResourceType.ROUTE).values()
    configuration = route_pb2.RouteConfiguration.FromString(resource.body.value)
    policies = [
        route.route.retry_policy.SerializeToString()
        for host in configuration.virtual_hosts
        for route in host.routes
        if route.route.HasField("inline_cluster_specifier_plugin")
    ]
    assert policies
    assert all(b"\x70\x01" in policy for policy in policies)
