"""NVML: NVIDIA's library that says how its GPUs are, by the package nvidia-ml-py; both need not be there.

https://docs.nvidia.com/deploy/nvml-api/. Its calls block, and with a GPU that is dying some do for minutes.
"""

import importlib
from contextlib import suppress
from typing import Any

from marchproxy.modules.ailb.load.gpus.device import Device

#: Of one look.
_MOST_EVENTS = 64
#: Errors of a GPU that nobody can use: lost, to be reset, and what drivers say when they do not know themselves.
_LOST = ("NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED", "NVML_ERROR_UNKNOWN")


class NoNvml(Exception):
    """There is no NVML, or none that works; the words say why."""


def library() -> Any:
    """The package, which has nothing to do with whether there are GPUs. Raises NoNvml."""
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise NoNvml(
            'the Python package nvidia-ml-py is not installed (pip install "marchproxy[gpu]")'
        ) from error


class Nvml:
    """An open NVML, with all GPUs that it found; `nvml`: what `library` returns."""

    def __init__(self, nvml: Any) -> None:
        """Raises NoNvml."""
        self._nvml = nvml
        self._error: type[Exception] = nvml.NVMLError
        self._lost = frozenset(getattr(nvml, name) for name in _LOST)
        self._handles: dict[str, tuple[int, Any]] = {}
        self._events: Any = None
        try:
            nvml.nvmlInit()
        except self._error as error:
            raise NoNvml(str(error)) from error
        try:
            self._find()
        except self._error as error:
            self.close()
            raise NoNvml(str(error)) from error

    def close(self) -> None:
        """Let go of it."""
        with suppress(self._error):
            if self._events is not None:
                self._nvml.nvmlEventSetFree(self._events)
            self._nvml.nvmlShutdown()

    def look(self) -> tuple[Device, ...]:
        """How all GPUs are that were there when it was opened. Raises NoNvml: it must be opened anew."""
        try:
            xids = self._xids()
        except self._error as error:
            raise NoNvml(str(error)) from error
        return tuple(self._device(uuid, *where, xids.get(uuid, ())) for uuid, where in self._handles.items())

    def _find(self) -> None:
        nvml = self._nvml
        self._events = self._optional(nvml.nvmlEventSetCreate, or_lost=True)
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                self._handles[nvml.nvmlDeviceGetUUID(handle)] = index, handle
            except self._error:  # one that is lost: if it was ever used, that is known
                continue
            if self._events is not None:
                xid = nvml.nvmlEventTypeXidCriticalError
                self._optional(nvml.nvmlDeviceRegisterEvents, handle, xid, self._events, or_lost=True)

    def _device(self, uuid: str, index: int, handle: Any, xids: tuple[int, ...]) -> Device:
        nvml, ask = self._nvml, self._optional
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        except self._error as error:
            if self._is_lost(error):
                return Device(uuid, index, is_lost=True, xids=xids)
            memory = None
        try:
            rows = ask(nvml.nvmlDeviceGetRemappedRows, handle)
            reasons = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
            slowing = (
                nvml.nvmlClocksThrottleReasonHwThermalSlowdown
                | nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
            )
            return Device(
                uuid,
                index,
                temperature=ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
                slows_at=ask(
                    nvml.nvmlDeviceGetTemperatureThreshold, handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
                ),
                is_slowed=bool(reasons & slowing),
                uncorrected=self._uncorrected(handle),
                cannot_remap=bool(rows and rows[3]),
                memory_used=memory.used if memory else None,
                memory_total=memory.total if memory else None,
                processes=self._processes(handle),
                xids=xids,
            )
        except self._error:  # only one that is lost, see `_optional`
            return Device(uuid, index, is_lost=True, xids=xids)

    def _uncorrected(self, handle: Any) -> int:
        nvml = self._nvml
        kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        return self._optional(nvml.nvmlDeviceGetTotalEccErrors, handle, kind, since) or 0

    def _processes(self, handle: Any) -> frozenset[int]:
        found = self._optional(self._nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
        return frozenset(process.pid for process in found)

    def _xids(self) -> dict[str, tuple[int, ...]]:
        """Critical errors that have happened since the last call. Raises the library's errors."""
        found: dict[str, tuple[int, ...]] = {}
        for _ in range(_MOST_EVENTS if self._events is not None else 0):
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
            except self._error as error:
                if error.value == self._nvml.NVML_ERROR_TIMEOUT:  # type: ignore[attr-defined]
                    break
                raise
            uuid = self._optional(self._nvml.nvmlDeviceGetUUID, event.device, or_lost=True)
            if uuid is not None:
                found[uuid] = (*found.get(uuid, ()), int(event.eventData))
        return found

    def _optional(self, call: Any, *arguments: Any, or_lost: bool = False) -> Any:
        """What not every GPU, or driver, has: None. Raises the library's error of one that is lost, unless `or_lost`."""
        try:
            return call(*arguments)
        except self._error as error:
            if self._is_lost(error) and not or_lost:
                raise
            return None

    def _is_lost(self, error: Exception) -> bool:
        return getattr(error, "value", None) in self._lost
