"""Desired states of a given size."""

from typing import Any

_MOST_SERVICES = 50


def catalogue(routes: int, *, timeout: str = "15s") -> dict[str, Any]:
    """`routes` routes, each with a stable and a canary pool; at most 50 services share the routes, as teams do.

    Another `timeout` gives another document of the same size: what a reload has to bring to Envoy.
    """
    services = min(routes, _MOST_SERVICES)
    return {
        "routes": [
            {
                "id": route_id(number),
                "path": f"/api/{number}",
                "timeout": timeout,
                "backends": [
                    {"pool": f"service-{number % services}-v1", "weight": 90},
                    {"pool": f"service-{number % services}-v2", "weight": 10},
                ],
            }
            for number in range(routes)
        ],
        "pools": [
            {"name": f"service-{service}-{version}", "version": version, "endpoints": ["127.0.0.1:9"]}
            for service in range(services)
            for version in ("v1", "v2")
        ],
    }


def route_id(number: int) -> str:
    """The id of a route of the catalogue."""
    return f"route-{number}"


def one_route(backend: int, listener: int) -> dict[str, Any]:
    """Everything that comes in through one NLB listener goes to one backend port."""
    return {
        "listeners": [
            {"name": "web", "address": f"127.0.0.1:{listener}", "protocol": "http", "module": "alb"}
        ],
        "routes": [{"id": "all", "path": "/", "backends": ["web"], "listeners": ["web"]}],
        "pools": [{"name": "web", "version": "v1", "endpoints": [f"127.0.0.1:{backend}"]}],
    }
