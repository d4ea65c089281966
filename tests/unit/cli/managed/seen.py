"""What a manager's API tells, as tests want it."""

from typing import Any

IDLE = {"requests": 0.0, "errors": 0.0, "p50_ms": 0.0, "p99_ms": 0.0, "received": 0.0, "sent": 0.0}


def stats(**figures: float) -> dict[str, float]:
    return {**IDLE, **figures}


def decision(verdict: str = "advanced", **more: Any) -> dict[str, Any]:
    return {
        "at": "2026-01-02T03:04:05.6+00:00",
        "verdict": verdict,
        "reason": "kept to its limits",
        "percent_before": 5,
        "percent_after": 25,
        "canary": stats(requests=40, errors=1, p99_ms=3.5),
        "baseline": IDLE,
        **more,
    }


def rollout(phase: str = "ramping", *decisions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "on": "route",
        "target": "shop",
        "version": "v2",
        "phase": phase,
        "percent": 25,
        "reason": "started",
        "updated_at": "2026-01-02T03:04:05+00:00",
        "decisions": list(decisions),
        **more,
    }


def part(name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "kind": "alb",
        "version": "v1",
        "health": "healthy",
        "is_current": True,
        "draining": False,
        "silent": "",
        "connections": 3,
        "stats": stats(requests=1250.0, errors=12.5, p99_ms=4.2),
        "cpu": 31.4,
        "memory": 190.2,
        **more,
    }


def listener(name: str, **more: Any) -> dict[str, Any]:
    figures = {
        "connections": 3,
        "accepted": 2.0,
        "failed": 0.0,
        "denied": 0.0,
        "received": 2048.0,
        "sent": 0.0,
    }
    return {
        "name": name,
        "address": "127.0.0.1:8000",
        "protocol": "http",
        "plane": "envoy",
        **figures,
        **more,
    }


def live(**more: Any) -> dict[str, Any]:
    return {
        "at": "2026-01-02T03:04:05+00:00",
        "age": 1.0,
        "head": {"number": 7, "author": {"name": "ann", "kind": "user"}},
        "total": stats(requests=1250.0, errors=12.5, p99_ms=4.2, received=2048.0),
        "connections": 3,
        "nlbs": [
            {
                "id": "nlb-1",
                "address": "127.0.0.1:50050",
                "health": "healthy",
                "failure": "",
                "is_current": True,
            }
        ],
        "parts": [part("alb-1"), part("alb-2", is_current=False, draining=True, health="degraded")],
        "listeners": [listener("web")],
        "routes": {"shop": stats(requests=9.0), "busy": stats(requests=1000.0, p99_ms=2.0)},
        "pools": {
            "shop-v1": {
                "name": "shop-v1",
                "version": "v1",
                "stats": IDLE,
                "trouble": "",
                "endpoints": [{"health": "healthy"}, {"health": "unhealthy"}, {"health": None}],
            }
        },
        "rollouts": [rollout()],
        "scaling": [
            {
                "at": "2026-01-02T03:04:05+00:00",
                "module_type": "alb",
                "way": "up",
                "current": 1,
                "wanted": 2,
                "reason": "cpu 90 % of 60 %",
                "outcome": "started",
            }
        ],
        **more,
    }
