"""The golden cases of the ALB: a desired state in each folder, and the resources that Envoy gets for it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToJson
from pydantic import TypeAdapter

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.secrets import authorities_secret, certificate_secret
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Snapshot, check
from marchproxy.model.pool import UpstreamTls
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.credentials import read_credentials
from marchproxy.modules.http.pool_files import read
from marchproxy.modules.http.resources import Builder, ListenerSpec
from marchproxy.modules.http.resources.endpoints import Target
from marchproxy.modules.http.resources.fleet import FLEET
from marchproxy.modules.http.resources.pools import PoolFindings

FOUND = (
    Target("10.0.0.1:80", 7),
    Target("10.0.0.2:80", 3, 10, "a.internal"),
    Target("10.0.0.3:80", 1, 20, "b.internal"),
)
HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/state.yaml"))


def listeners(case: Path) -> list[ListenerSpec]:
    """Most cases are not about listeners and have none."""
    file = case / "listeners.yaml"
    return TypeAdapter(list[ListenerSpec]).validate_python(
        yaml.safe_load(file.read_text()) if file.exists() else []
    )


def snapshot_of(case: Path, specs: list[ListenerSpec]) -> Snapshot:
    """What a case is compiled to."""
    state = decode((case / "state.yaml").read_bytes())
    ways = [
        replace(way, file=str(case / Path(way.file).name)) if way.file else way
        for way in state.authentication
    ]
    fleet = case / "fleet.yaml"
    found = replace(
        findings(case, state),
        secrets=tuple(secrets(case, specs)),
        instances=yaml.safe_load(fleet.read_text())["instances"] if fleet.exists() else 1,
    )
    builder = Builder(specs, fleet=FLEET if fleet.exists() else "")
    return check(builder.build(state, read_credentials(ways), found))


def resources(case: Path, specs: list[ListenerSpec]) -> dict[str, list[dict[str, Any]]]:
    """Every resource of a case by kind, as Envoy's own YAML would write it."""
    built = documents(snapshot_of(case, specs))
    if not specs:  # nobody asks for the filters that limit nothing
        idle = {"@type", "stat_prefix"}
        built["extension"] = [one for one in built["extension"] if one["typed_config"].keys() - idle]
    return {kind: items for kind, items in built.items() if items}


def documents(snapshot: Snapshot) -> dict[str, list[dict[str, Any]]]:
    """Every resource by kind, as Envoy's own YAML would write it."""
    return {
        kind.name.lower(): [_plain(resource) for _, resource in sorted(snapshot.of(kind).items())]
        for kind in ResourceType
    }


def secrets(case: Path, specs: list[ListenerSpec]) -> Iterator[Resource]:
    """Those that the listeners ask for: files of these names in the case's folder."""
    asking = [spec.tls for spec in specs if spec.tls is not None]
    for name in sorted({name for tls in asking for name in tls.certificates}):
        certificate, key = ((case / f"{name}.{end}").read_bytes() for end in ("pem", "key"))
        yield Resource.of(certificate_secret(name, certificate, key))
    for name in sorted({tls.client_ca for tls in asking if tls.client_ca}):
        yield Resource.of(authorities_secret(name, (case / f"{name}.pem").read_bytes()))


def findings(case: Path, state: DesiredState) -> PoolFindings:
    """The files of TLS, which lie in the case's folder, and what was found for every pool with discovery."""
    named = {pool.tls for pool in state.pools if pool.tls is not None}
    material = {tls: read(_in_folder(case, tls)) for tls in named}
    seeking = [pool.name for pool in state.pools if pool.discovery.srv or pool.discovery.file]
    return PoolFindings(material, dict.fromkeys(seeking, FOUND))


def _in_folder(case: Path, tls: UpstreamTls) -> UpstreamTls:
    files = {part: getattr(tls, part) for part in ("ca", "certificate", "key")}
    return replace(tls, **{part: str(case / Path(file).name) for part, file in files.items() if file})


def _plain(resource: Resource) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(MessageToJson(resource.body, preserving_proto_field_name=True))
    del plain["@type"]  # the kind it stands under says it
    return plain
