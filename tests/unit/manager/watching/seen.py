"""Views to compare, and answers to read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.manager.watching.findings import NlbFinding
from marchproxy.manager.watching.view import LiveView, NlbView, PartView
from marchproxy.model.module import HealthStatus, ModuleType

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
NLB = "127.0.0.1:50050"


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def part(name: str = "alb-1", **fields: Any) -> PartView:
    known: dict[str, Any] = {
        "version": "v1",
        "address": "127.0.0.1:1",
        "health": HealthStatus.HEALTHY,
        "is_current": True,
        "nlb": NLB,
        "since": NOW,
    }
    return PartView(name, ModuleType.ALB, **{**known, **fields})


def view(*parts: PartView, **fields: Any) -> LiveView:
    known: dict[str, Any] = {"nlbs": (NlbView(NLB, "nlb", last_seen=NOW),), "at": NOW, "looked_at": NOW}
    return replace(LiveView(version=1, parts=parts), **{**known, **fields})


def instance(name: str, **fields: Any) -> types_pb2.ModuleInstance:
    known: dict[str, Any] = {
        "module_type": types_pb2.MODULE_TYPE_ALB,
        "address": f"{name}:50051",
        "version": "v1",
        "health_status": types_pb2.HEALTH_STATUS_HEALTHY,
        "config_checksum": "new",
    }
    return types_pb2.ModuleInstance(instance_id=name, **{**known, **fields})


def nlb(address: str = NLB, *instances: types_pb2.ModuleInstance, **fields: Any) -> NlbFinding:
    listener = nlb_pb2.Listener(
        name="web",
        address="0.0.0.0:80",
        protocol=types_pb2.PROTOCOL_HTTP,
        module_type=types_pb2.MODULE_TYPE_ALB,
        version_weights={"v1": 90, "v2": 10},
        data_plane="envoy",
    )
    status = nlb_pb2.GetNLBStatusResponse(
        status=types_pb2.HEALTH_STATUS_HEALTHY,
        modules=instances,
        listeners=[listener],
        config_checksum="new",
        details={"id": f"id of {address}", "plan": "in force"},
    )
    return NlbFinding(address, **{"status": status, "at": NOW, **fields})
