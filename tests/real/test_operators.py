"""The command operators that we know, as Envoy itself knows them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from marchproxy.engines.envoy.access_log import json_lines, share
from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.engines.envoy.operators import ALONE, WITH_ARGUMENT
from marchproxy.modules.http.log_fields import FIELDS

ARGUMENTS = {
    "CEL": "request.path",
    "CLUSTER_METADATA": "a:b",
    "COMMON_DURATION": "DS_RX_BEG:DS_RX_END:ms",
    "METADATA": "ROUTE:a",
}
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"


def bootstrap(fields: dict[str, str]) -> dict[str, Any]:
    manager = {
        "@type": f"type.googleapis.com/{MANAGER}",
        "stat_prefix": "x",
        "route_config": {"name": "none"},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"type.googleapis.com/{ROUTER}"}}],
        "access_log": [
            MessageToDict(json_lines("/dev/null", fields, share(100, "k")), preserving_proto_field_name=True)
        ],
    }
    listener = {
        "name": "x",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 10000}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


def accepted(fields: dict[str, str], folder: Path) -> tuple[bool, str]:
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap(fields)))
    command = [str(find_envoy(None)), "--mode", "validate", "-c", str(config), "--disable-hot-restart"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode == 0, ended.stderr


def test_envoy_knows_them_all(tmp_path: Path) -> None:
    alone = {name: f"%{name}%" for name in ALONE}
    others = {name: f"%{name}({ARGUMENTS.get(name, 'a')})%" for name in WITH_ARGUMENT}
    good, words = accepted({**alone, **others, **FIELDS}, tmp_path)
    assert good, words


@pytest.mark.parametrize("text", ["%RESPONS_CODE%", "%REQ%", "%CLUSTER_METADATA%"])
def test_what_we_refuse_envoy_would_refuse_as_well(text: str, tmp_path: Path) -> None:
    assert not accepted({"field": text}, tmp_path)[0]
