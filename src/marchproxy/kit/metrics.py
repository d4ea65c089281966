"""Metrics of one process: its own registry, never prometheus_client's global one, and what it uses of the machine."""

from functools import cache

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector


def new_registry() -> CollectorRegistry:
    """Return a registry that already reports this process: CPU seconds, memory, open files, start time."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def process_usage() -> tuple[float, float]:
    """Return the CPU this process used since the last call, in percent of one core, and its resident memory in MB.

    The first call has nothing to compare with and returns 0.0 percent.
    """
    process = _this_process()
    return process.cpu_percent(interval=None), process.memory_info().rss / 1e6


@cache
def _this_process() -> psutil.Process:
    # one object, because it keeps the last reading of the CPU times
    return psutil.Process()
