"""Golden resources as a static bootstrap, for an Envoy to judge."""

import json
import subprocess
from pathlib import Path
from typing import Any

from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.modules.http.resources.fleet import FLEET


def accepted(built: dict[str, list[dict[str, Any]]], folder: Path) -> str:
    """Empty, or why Envoy does not take them."""
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap(built)))
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
    return ended.stderr if ended.returncode else ""


def bootstrap(built: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The same resources without a control plane: endpoints in their clusters, routes in their listeners."""
    endpoints = {item["cluster_name"]: item for item in built.get("endpoint", [])}
    for cluster in built.get("cluster", []):
        if cluster["name"] in endpoints:
            del cluster["eds_cluster_config"]
            cluster.update(type="STATIC", load_assignment=endpoints[cluster["name"]])
    (routes,) = built["route"]
    filters = {one["name"]: one["typed_config"] for one in built["extension"]}
    fleet = [{"name": name, "load_assignment": endpoints[name]} for name in endpoints if name == FLEET]
    for listener in built["listener"]:
        for chain in listener["filter_chains"]:
            manager = chain["filters"][-1]["typed_config"]
            for http_filter in manager["http_filters"]:
                if http_filter.pop("config_discovery", None):
                    http_filter["typed_config"] = filters[http_filter["name"]]
            if manager.pop("rds", None):
                manager["route_config"] = {**routes, "validate_clusters": True}
    secrets = built.get("secret", [])
    _forget_sds([built.get("cluster", []), built["listener"]])
    return {
        "static_resources": {
            "clusters": [*built.get("cluster", []), *fleet],
            "listeners": built["listener"],
            "secrets": secrets,
        },
        **({"cluster_manager": {"local_cluster_name": FLEET}} if fleet else {}),
    }


def _forget_sds(part: Any) -> None:
    """A secret without a source is one of the bootstrap's own."""
    if isinstance(part, dict):
        part.pop("sds_config", None)
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _forget_sds(inner)
