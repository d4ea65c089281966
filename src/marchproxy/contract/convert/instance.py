"""Module instances, their traffic endpoints, and their answers to CanHandle."""

from marchproxy.contract.convert.enums import HEALTH, MODULE_TYPES, PROTOCOLS
from marchproxy.contract.convert.faults import Faults, read_one
from marchproxy.contract.convert.times import moment_to_pb, read_moment
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict


def instance_to_pb(instance: ModuleInstance) -> types_pb2.ModuleInstance:
    """The message, without what only the NLB knows: registration_id and last_heartbeat."""
    return types_pb2.ModuleInstance(
        instance_id=instance.instance_id,
        module_type=MODULE_TYPES.to_pb(instance.module_type),
        address=instance.address,
        health_status=HEALTH.to_pb(instance.health),
        metadata=instance.metadata,
        started_at=None if instance.started_at is None else moment_to_pb(instance.started_at),
        current_connections=instance.current_connections,
        max_connections=instance.max_connections,
        version=instance.version,
        traffic_weight=instance.traffic_weight,
        traffic_endpoints=[_endpoint_to_pb(endpoint) for endpoint in instance.traffic_endpoints],
        config_checksum=instance.config_checksum,
    )


def instance_from_pb(pb: types_pb2.ModuleInstance, path: str = "instance") -> ModuleInstance:
    """The instance. Raises InvalidValue with every problem of the message."""
    return read_one(pb, path, read_instance)


def read_instance(pb: types_pb2.ModuleInstance, path: str, faults: Faults) -> ModuleInstance:
    """The instance as far as it can be read; an unspecified health is STARTING, an empty version the default."""
    started_at = (
        read_moment(pb.started_at, f"{path}.started_at", faults) if pb.HasField("started_at") else None
    )
    module_type = MODULE_TYPES.read(pb.module_type, f"{path}.module_type", faults)
    if pb.module_type == types_pb2.MODULE_TYPE_UNSPECIFIED:
        faults.add(f"{path}.module_type", "is missing")
    endpoints = tuple(
        _read_endpoint(endpoint, f"{path}.traffic_endpoints[{index}]", faults)
        for index, endpoint in enumerate(pb.traffic_endpoints)
    )
    return ModuleInstance(
        instance_id=InstanceId(pb.instance_id),
        module_type=module_type or ModuleType.ALB,
        address=pb.address,
        version=Version(pb.version or "v1"),
        health=HEALTH.read(pb.health_status, f"{path}.health_status", faults) or HealthStatus.STARTING,
        started_at=started_at,
        current_connections=pb.current_connections,
        max_connections=pb.max_connections,
        traffic_weight=pb.traffic_weight,
        traffic_endpoints=endpoints,
        config_checksum=pb.config_checksum,
        metadata=dict(pb.metadata),
    )


def verdict_to_pb(verdict: Verdict) -> module_pb2.CanHandleResponse:
    """The answer to CanHandle."""
    return module_pb2.CanHandleResponse(
        can_handle=verdict.can_handle,
        priority=verdict.priority,
        reason=verdict.reason,
        metadata=verdict.details,
    )


def verdict_from_pb(pb: module_pb2.CanHandleResponse) -> Verdict:
    """What a module answered to CanHandle."""
    return Verdict(pb.can_handle, pb.priority, pb.reason, dict(pb.metadata))


def _endpoint_to_pb(endpoint: TrafficEndpoint) -> types_pb2.TrafficEndpoint:
    return types_pb2.TrafficEndpoint(
        name=endpoint.name,
        protocol=PROTOCOLS.to_pb(endpoint.protocol),
        address=endpoint.address,
        proxy_protocol=endpoint.proxy_protocol,
    )


def _read_endpoint(pb: types_pb2.TrafficEndpoint, path: str, faults: Faults) -> TrafficEndpoint:
    protocol = PROTOCOLS.read(pb.protocol, f"{path}.protocol", faults)
    if pb.protocol == types_pb2.PROTOCOL_UNSPECIFIED:
        faults.add(f"{path}.protocol", "is missing")
    return TrafficEndpoint(pb.name, protocol or Protocol.TCP, pb.address, pb.proxy_protocol)
