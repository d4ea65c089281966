"""Families: what a metric is called, what kind it is, and what is said of it. Values only.

https://prometheus.io/docs/practices/naming/
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

#: Pairs of name and value.
Labels: TypeAlias = tuple[tuple[str, str], ...]
#: What every family begins with.
PREFIX = "marchproxy_envoy_"


class Kind(Enum):
    """How Prometheus reads a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One family of series. `name` without the prefix that all share; a histogram is of seconds."""

    name: str
    kind: Kind
    text: str

    @property
    def full_name(self) -> str:
        """The name that Prometheus gets."""
        return PREFIX + self.name


def counter(name: str, text: str) -> Family:
    """A family that only grows; its name gains `_total`."""
    return Family(f"{name}_total", Kind.COUNTER, text)


def gauge(name: str, text: str) -> Family:
    """A family of what is now."""
    return Family(name, Kind.GAUGE, text)


def histogram(name: str, text: str) -> Family:
    """A family of durations in seconds."""
    return Family(name, Kind.HISTOGRAM, text)
