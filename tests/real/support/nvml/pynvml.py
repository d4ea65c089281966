"""Stands in for nvidia-ml-py in a process whose PYTHONPATH has this folder: GPUs are what a file of JSON says at the moment.

The file, which NVML_TABLE names: {"UUID": {"lost": false, "pids": [1, 2]}, …}.
"""

# ruff: noqa: N802, N816 - the names are NVML's

import json
import os
from pathlib import Path
from types import SimpleNamespace

NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_TIMEOUT, NVML_ERROR_GPU_IS_LOST = 3, 10, 15
NVML_ERROR_RESET_REQUIRED, NVML_ERROR_UNKNOWN = 16, 999
NVML_TEMPERATURE_GPU = NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = NVML_VOLATILE_ECC = 0
NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
nvmlEventTypeXidCriticalError = 8
nvmlClocksThrottleReasonHwThermalSlowdown, nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 0x40, 0x80


class NVMLError(Exception):
    def __init__(self, value):
        super().__init__(f"error {value}")
        self.value = value


def _table():
    return json.loads(Path(os.environ["NVML_TABLE"]).read_text())


def nvmlInit():
    _table()


def nvmlShutdown():
    pass


def nvmlDeviceGetCount():
    return len(_table())


def nvmlDeviceGetHandleByIndex(index):
    return sorted(_table())[index]


def nvmlDeviceGetUUID(handle):
    return handle


def nvmlDeviceGetMemoryInfo(handle):
    if _table()[handle]["lost"]:
        raise NVMLError(NVML_ERROR_GPU_IS_LOST)
    return SimpleNamespace(used=1, total=2)


def nvmlDeviceGetComputeRunningProcesses(handle):
    return [SimpleNamespace(pid=pid) for pid in _table()[handle]["pids"]]


def _not_supported(*_):
    raise NVMLError(NVML_ERROR_NOT_SUPPORTED)


nvmlEventSetCreate = nvmlDeviceRegisterEvents = nvmlDeviceGetTemperature = _not_supported
nvmlDeviceGetTemperatureThreshold = nvmlDeviceGetCurrentClocksThrottleReasons = _not_supported
nvmlDeviceGetTotalEccErrors = nvmlDeviceGetRemappedRows = _not_supported
