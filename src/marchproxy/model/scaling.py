"""Scaling: between which numbers of instances a module type may move, and towards what."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from marchproxy.model.module import ModuleType
from marchproxy.model.problem import Problem

MOST_INSTANCES = 1000
_TOLERANCE_PERCENT = 10


@dataclass(frozen=True, slots=True)
class ScalingLimits:
    """Between which numbers of instances a module may scale."""

    minimum: int = 1
    maximum: int = 1

    def faults(self, path: str = "config") -> Iterator[Problem]:
        """What is wrong with the limits."""
        if self.minimum < 1:
            yield Problem(f"{path}.min_instances", f"{self.minimum} is less than 1")
        if self.maximum < self.minimum:
            yield Problem(
                f"{path}.max_instances", f"{self.maximum} is less than min_instances, {self.minimum}"
            )

    def clamp(self, instances: int) -> int:
        """The allowed number that is nearest."""
        return max(self.minimum, min(self.maximum, instances))


@dataclass(frozen=True, slots=True)
class ScalingConfig:
    """How many instances of a module type should run. A target of 0 is not considered.

    Targets are per instance: processor in percent of one core, memory in percent of `memory_limit_mb` (MiB), open
    connections, mean latency in milliseconds. Thresholds are percent of a target; 0: 10 % around it. `cooldown` is
    in seconds.
    """

    module_type: ModuleType
    limits: ScalingLimits = ScalingLimits()
    cpu_percent: int = 0
    memory_percent: int = 0
    memory_limit_mb: int = 0
    connections: int = 0
    latency_ms: float = 0.0
    max_error_percent: int = 0
    up_threshold: int = 0
    down_threshold: int = 0
    cooldown: float = 60.0
    enabled: bool = True

    @property
    def up_ratio(self) -> float:
        """Load relative to the target above which instances are added."""
        return (self.up_threshold or 100 + _TOLERANCE_PERCENT) / 100

    @property
    def down_ratio(self) -> float:
        """Load relative to the target below which instances are removed."""
        return (self.down_threshold or 100 - _TOLERANCE_PERCENT) / 100

    def faults(self, path: str) -> Iterator[Problem]:
        """What is wrong with it; `path` is its place in the document."""
        yield from self.limits.faults(path)
        if self.module_type is ModuleType.NLB:
            yield Problem(f"{path}.module", "NLBs do not register with one another, so none can be scaled")
        if self.limits.maximum > MOST_INSTANCES:
            yield Problem(f"{path}.max_instances", f"{self.limits.maximum} is more than {MOST_INSTANCES}")
        numbers = {
            "target_cpu_percent": self.cpu_percent,
            "target_memory_percent": self.memory_percent,
            "memory_limit_mb": self.memory_limit_mb,
            "target_connections": self.connections,
            "target_latency_ms": self.latency_ms,
            "max_error_percent": self.max_error_percent,
            "scale_up_threshold": self.up_threshold,
            "scale_down_threshold": self.down_threshold,
            "cooldown": self.cooldown,
        }
        for name, number in numbers.items():
            if not 0 <= number <= 2**31 - 1 or math.isnan(number):
                yield Problem(f"{path}.{name}", f"{number} is not between 0 and {2**31 - 1}")
        if self.max_error_percent > 100:
            yield Problem(f"{path}.max_error_percent", f"{self.max_error_percent} is more than 100")
        if self.memory_percent and not self.memory_limit_mb:
            yield Problem(f"{path}.target_memory_percent", "is a share of memory_limit_mb, which is not set")
        if self.down_ratio >= self.up_ratio:
            yield Problem(
                f"{path}.scale_down_threshold",
                f"{self.down_ratio:.0%} is not below the threshold for scaling up, {self.up_ratio:.0%}",
            )
