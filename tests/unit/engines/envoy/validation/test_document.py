"""What pieces are judged beside."""

import json
from pathlib import Path

from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.validation.document import base
from marchproxy.kit.settings import HostPort


def test_the_base_is_the_bootstrap_without_ports_and_subscriptions() -> None:
    spec = BootstrapSpec("n", "c", HostPort("127.0.0.1", 9901), Path("/run/ads.sock"), runtime="limits")
    document = json.loads(base(render(spec)))
    assert "admin" not in document
    assert set(document["dynamic_resources"]) == {"ads_config"}
    assert document["node"] == {"id": "n", "cluster": "c"}
    # what a regular expression may cost is a part of the judgement
    fixed = [
        layer["static_layer"] for layer in document["layered_runtime"]["layers"] if "static_layer" in layer
    ]
    assert fixed[0]["re2.max_program_size.error_level"] == spec.max_regex_program
    assert not any("rtds_layer" in layer for layer in document["layered_runtime"]["layers"])
