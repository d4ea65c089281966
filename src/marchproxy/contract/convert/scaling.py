"""How many instances of a module type should run."""

from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import ModuleType
from marchproxy.model.scaling import ScalingConfig, ScalingLimits


def scaling_to_pb(config: ScalingConfig) -> types_pb2.ScalingConfig:
    """The message; it says not which type it is for, and holds whole seconds."""
    return types_pb2.ScalingConfig(
        min_instances=config.limits.minimum,
        max_instances=config.limits.maximum,
        target_cpu_percent=config.cpu_percent,
        target_memory_percent=config.memory_percent,
        memory_limit_mb=config.memory_limit_mb,
        target_connections=config.connections,
        target_latency_ms=config.latency_ms,
        max_error_percent=config.max_error_percent,
        scale_up_threshold=config.up_threshold,
        scale_down_threshold=config.down_threshold,
        cooldown_seconds=round(config.cooldown),
        auto_scaling_enabled=config.enabled,
    )


def scaling_from_pb(pb: types_pb2.ScalingConfig, module_type: ModuleType) -> ScalingConfig:
    """The config for a type; any message can be read, the model's checks come after.

    min_instances of 0 is 1, max_instances of 0 is min_instances.
    """
    minimum = pb.min_instances or 1
    return ScalingConfig(
        module_type=module_type,
        limits=ScalingLimits(minimum, pb.max_instances or max(1, minimum)),
        cpu_percent=pb.target_cpu_percent,
        memory_percent=pb.target_memory_percent,
        memory_limit_mb=pb.memory_limit_mb,
        connections=pb.target_connections,
        latency_ms=pb.target_latency_ms,
        max_error_percent=pb.max_error_percent,
        up_threshold=pb.scale_up_threshold,
        down_threshold=pb.scale_down_threshold,
        cooldown=float(pb.cooldown_seconds),
        enabled=pb.auto_scaling_enabled,
    )
