"""The golden cases of the ALB: a desired state in each folder, and the resources that Envoy gets for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToJson

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import check
from marchproxy.modules.alb.credentials import read_credentials
from marchproxy.modules.alb.resources import Builder, ListenerSpec

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/state.yaml"))


def listeners(case: Path) -> list[ListenerSpec]:
    """Most cases are not about listeners and have none."""
    file = case / "listeners.yaml"
    specs = yaml.safe_load(file.read_text()) if file.exists() else []
    return [ListenerSpec(**{**spec, "proxy_sources": tuple(spec.get("proxy_sources", ()))}) for spec in specs]


def resources(case: Path, specs: list[ListenerSpec]) -> dict[str, list[dict[str, Any]]]:
    """Every resource of a case by kind, as Envoy's own YAML would write it."""
    state = decode((case / "state.yaml").read_bytes())
    ways = [replace(way, file=str(case / Path(way.file).name)) for way in state.authentication]
    snapshot = check(Builder(specs).build(state, read_credentials(ways)))
    found = {
        kind.name.lower(): [_plain(resource) for _, resource in sorted(snapshot.of(kind).items())]
        for kind in ResourceType
    }
    return {kind: items for kind, items in found.items() if items}


def _plain(resource: Resource) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(MessageToJson(resource.body, preserving_proto_field_name=True))
    del plain["@type"]  # the kind it stands under says it
    return plain
