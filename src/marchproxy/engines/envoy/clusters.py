"""Upstream hosts and bound listeners as values: parses `/clusters` and `/listeners` of Envoy 1.40. Pure.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/admin/v3/clusters.proto
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marchproxy.kit.settings.types import HostPort

# flags that take a host out of load balancing; the others (degraded, pending removal) do not
_FAILED = frozenset({"failed_active_health_check", "failed_outlier_check", "excluded_via_immediate_hc_fail"})
_EDS_SERVING = frozenset({"HEALTHY", "UNKNOWN", "DEGRADED"})


class MalformedAnswer(ValueError):
    """The text is not what Envoy 1.40 answers."""


@dataclass(frozen=True, slots=True)
class HostCounts:
    """What Envoy counts per upstream host: connections (cx) and requests (rq) since the host was added, and now."""

    cx_total: int = 0
    cx_active: int = 0
    cx_connect_fail: int = 0
    rq_total: int = 0
    rq_active: int = 0
    rq_pending_active: int = 0
    rq_success: int = 0
    rq_error: int = 0
    rq_timeout: int = 0


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One upstream host. `address` is `host:port`, `[v6]:port` or a socket path; `flags` are Envoy's health flags.

    Hosts of `priority` 0 go first.
    """

    address: str
    hostname: str
    weight: int
    eds_health: str
    flags: frozenset[str]
    counts: HostCounts
    priority: int = 0

    @property
    def healthy(self) -> bool:
        """Whether Envoy balances load to it (outside panic mode)."""
        return not self.flags & _FAILED and self.eds_health in _EDS_SERVING


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """One cluster; `dynamic` when it came over CDS."""

    name: str
    dynamic: bool
    hosts: tuple[HostStatus, ...]


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listener and the addresses it is bound to, real ports instead of 0; Unix sockets are left out."""

    name: str
    addresses: tuple[HostPort, ...]


def parse_clusters(text: bytes | str) -> tuple[ClusterStatus, ...]:
    """Read `/clusters?format=json`. Raises MalformedAnswer."""
    try:
        return tuple(_cluster(entry) for entry in json.loads(text).get("cluster_statuses", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedAnswer(f"not the cluster list of an Envoy 1.40: {error!r}") from error


def parse_listeners(text: bytes | str) -> tuple[BoundListener, ...]:
    """Read `/listeners?format=json`. Raises MalformedAnswer."""
    try:
        return tuple(_listener(entry) for entry in json.loads(text).get("listener_statuses", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedAnswer(f"not the listener list of an Envoy 1.40: {error!r}") from error


def _cluster(entry: Mapping[str, Any]) -> ClusterStatus:
    hosts = tuple(_host(host) for host in entry.get("host_statuses", ()))
    return ClusterStatus(entry["name"], bool(entry.get("added_via_api", False)), hosts)


def _host(entry: Mapping[str, Any]) -> HostStatus:
    health = entry.get("health_status", {})
    # proto3 JSON: a zero is left out and a 64-bit number is a string
    counts = {stat["name"]: int(stat.get("value", 0)) for stat in entry.get("stats", ())}
    return HostStatus(
        address=_address(entry["address"]),
        hostname=entry.get("hostname", ""),
        weight=int(entry.get("weight", 1)),
        eds_health=health.get("eds_health_status", "UNKNOWN"),
        flags=frozenset(name for name, value in health.items() if value is True),
        counts=HostCounts(**{name: counts.get(name, 0) for name in HostCounts.__dataclass_fields__}),
        priority=int(entry.get("priority", 0)),
    )


def _listener(entry: Mapping[str, Any]) -> BoundListener:
    bound = [entry["local_address"], *entry.get("additional_local_addresses", ())]
    sockets = [address["socket_address"] for address in bound if "socket_address" in address]
    return BoundListener(
        entry["name"], tuple(HostPort(s["address"], int(s.get("port_value", 0))) for s in sockets)
    )


def _address(address: Mapping[str, Any]) -> str:
    match address:
        case {"socket_address": {"address": str(host), **rest}}:
            bracketed = f"[{host}]" if ":" in host else host
            return f"{bracketed}:{rest.get('port_value', 0)}"
        case {"pipe": {"path": str(path)}}:
            return path
        case _:
            return json.dumps(address, sort_keys=True)
