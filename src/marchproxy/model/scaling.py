"""Scaling: how many instances of a module there should be."""

from collections.abc import Iterator
from dataclasses import dataclass

from marchproxy.model.problem import Problem


@dataclass(frozen=True, slots=True)
class ScalingLimits:
    """Between which numbers of instances a module may scale."""

    minimum: int = 1
    maximum: int = 1

    def faults(self) -> Iterator[Problem]:
        """What is wrong with the limits."""
        if self.minimum < 1:
            yield Problem("config.min_instances", f"{self.minimum} is less than 1")
        if self.maximum < self.minimum:
            yield Problem(
                "config.max_instances", f"{self.maximum} is less than min_instances, {self.minimum}"
            )

    def clamp(self, instances: int) -> int:
        """The allowed number that is nearest."""
        return max(self.minimum, min(self.maximum, instances))
