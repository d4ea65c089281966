"""The golden resources of the NLB as Envoy itself judges them: each case as a static bootstrap."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from marchproxy.engines.envoy.binary import find_envoy
from tests.real.support.certificates import make_certificate

GOLDEN = Path(__file__).parents[1] / "golden" / "nlb"


def bootstrap(built: dict[str, dict[str, Any]], certificate: Path) -> dict[str, Any]:
    """The same resources without a control plane: endpoints, routes and secrets where they are used."""
    by_kind: dict[str, dict[str, Any]] = {}
    for label, message in built.items():
        kind, _, name = label.partition(" ")
        del message["@type"]
        by_kind.setdefault(kind, {})[name] = message
    for name, cluster in by_kind["CLUSTER"].items():
        if name in by_kind["ENDPOINT"]:
            del cluster["edsClusterConfig"]
            cluster |= {"type": "STATIC", "loadAssignment": by_kind["ENDPOINT"][name]}
    for name, secret in by_kind.get("SECRET", {}).items():
        pem, key = {"filename": str(certificate)}, {"filename": str(certificate.with_suffix(".key"))}
        for field in secret.keys() - {"name"}:
            trusted = field == "validationContext"
            secret[field] = {"trustedCa": pem} if trusted else {"certificateChain": pem, "privateKey": key}
        assert secret["name"] == name
    listeners = [inlined(listener, by_kind.get("ROUTE", {})) for listener in by_kind["LISTENER"].values()]
    return {
        "static_resources": {
            "clusters": list(by_kind["CLUSTER"].values()),
            "listeners": listeners,
            "secrets": list(by_kind.get("SECRET", {}).values()),
        }
    }


def inlined(message: Any, routes: dict[str, Any]) -> Any:
    """The message with each use of ADS replaced by what it stands for."""
    match message:
        case {"rds": {"routeConfigName": name}, **rest}:
            return inlined(rest, routes) | {"routeConfig": {**routes[name], "validateClusters": True}}
        case {"sdsConfig": _, "name": name}:
            return {"name": name}
        case dict():
            return {key: inlined(value, routes) for key, value in message.items()}
        case list():
            return [inlined(value, routes) for value in message]
        case _:
            return message


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_envoy_accepts(case: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "one.example")
    config = tmp_path / "envoy.json"
    golden = (GOLDEN / f"{case}.json").read_text().replace("/var/log/connections.json", str(tmp_path / "log"))
    config.write_text(json.dumps(bootstrap(json.loads(golden), certificate)))
    command = [
        str(find_envoy(None)),
        "--mode",
        "validate",
        "-c",
        str(config),
        "--disable-hot-restart",
        "--concurrency",
        "1",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
