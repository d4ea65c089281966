"""What is made of NVML's answers: of a sound GPU, one without ECC, one that is lost, and of errors in between.

The tables follow NVML's documentation; they were not taken from a GPU.
"""

# ruff: noqa: N802, N815 - the names are NVML's

from types import SimpleNamespace

import pytest

from marchproxy.modules.ailb.load.gpus import Device
from marchproxy.modules.ailb.load.gpus.nvml import NoNvml, Nvml, library

TIMEOUT, NOT_SUPPORTED, LOST, RESET, UNKNOWN, ABSENT = 10, 3, 15, 16, 999, 12


class Failed(Exception):
    def __init__(self, value):
        super().__init__({ABSENT: "NVML Shared Library Not Found"}.get(value, f"error {value}"))
        self.value = value


#: Each value is what a call answers, or with which error it fails.
A100 = {
    "UUID": "GPU-a100", "MemoryInfo": SimpleNamespace(used=70, total=80), "Temperature": 61, "TemperatureThreshold": 92,
    "CurrentClocksThrottleReasons": 0x4, "TotalEccErrors": 0, "RemappedRows": (1, 0, 0, 0),
    "ComputeRunningProcesses": [SimpleNamespace(pid=4711), SimpleNamespace(pid=4712)],
}  # fmt: skip
GEFORCE = A100 | {
    "UUID": "GPU-geforce", "TotalEccErrors": Failed(NOT_SUPPORTED), "RemappedRows": Failed(NOT_SUPPORTED),
    "TemperatureThreshold": Failed(NOT_SUPPORTED), "ComputeRunningProcesses": Failed(NOT_SUPPORTED),
}  # fmt: skip
SOUND = Device(
    "GPU-a100", 0, temperature=61, slows_at=92, memory_used=70, memory_total=80, processes=frozenset({4711, 4712})
)  # fmt: skip


class Devices:
    """The package, before devices as in the tables; `events`: of them, by index, and Xid; `fails`: the first call does."""

    NVMLError = Failed
    NVML_ERROR_TIMEOUT, NVML_ERROR_GPU_IS_LOST = TIMEOUT, LOST
    NVML_ERROR_RESET_REQUIRED, NVML_ERROR_UNKNOWN = RESET, UNKNOWN
    NVML_TEMPERATURE_GPU = NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = NVML_VOLATILE_ECC = 0
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    nvmlEventTypeXidCriticalError = 8
    nvmlClocksThrottleReasonHwThermalSlowdown, nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 0x40, 0x80

    def __init__(self, *devices, events=(), fails=None):
        self.devices, self.events, self.fails, self.open = list(devices), list(events), fails, 0

    def nvmlInit(self):
        if self.fails:
            raise self.fails
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlEventSetCreate(self):
        return "events"

    def nvmlEventSetFree(self, events):
        assert events == "events"

    def nvmlDeviceRegisterEvents(self, handle, kind, events):
        assert (kind, events) == (8, "events")

    def nvmlEventSetWait_v2(self, events, milliseconds):
        assert milliseconds == 0
        if not self.events:
            raise Failed(TIMEOUT)
        index, xid = self.events.pop(0)
        return SimpleNamespace(device=index, eventData=xid)

    def nvmlDeviceGetCount(self):
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def __getattr__(self, name):
        field = name.removeprefix("nvmlDeviceGet")
        if field not in A100:
            raise AttributeError(name)

        def call(handle, *arguments):
            found = self.devices[handle][field]
            if isinstance(found, Failed):
                raise found
            return found

        return call


@pytest.mark.parametrize(
    ("changed", "device"),
    [
        ({}, SOUND),
        ({"CurrentClocksThrottleReasons": 0x40}, {"is_slowed": True}),
        ({"CurrentClocksThrottleReasons": 0x84}, {"is_slowed": True}),
        ({"TotalEccErrors": 2}, {"uncorrected": 2}),
        ({"RemappedRows": (0, 1, 1, 1)}, {"cannot_remap": True}),
        ({"MemoryInfo": Failed(NOT_SUPPORTED)}, {"memory_used": None, "memory_total": None}),
        ({"MemoryInfo": Failed(LOST)}, Device("GPU-a100", 0, is_lost=True)),
        ({"MemoryInfo": Failed(RESET)}, Device("GPU-a100", 0, is_lost=True)),
        ({"Temperature": Failed(UNKNOWN)}, Device("GPU-a100", 0, is_lost=True)),
        ({"ComputeRunningProcesses": Failed(LOST)}, Device("GPU-a100", 0, is_lost=True)),
    ],
)
def test_a_device_is_as_it_says(changed, device):
    nvml = Nvml(said := Devices(A100))
    said.devices[0] = A100 | changed
    (found,) = nvml.look()
    if isinstance(device, Device):
        assert found == device
    else:
        assert {name: getattr(found, name) for name in device} == device
        assert (found.uuid, found.is_lost) == ("GPU-a100", False)


def test_what_a_gpu_does_not_have_is_not_known_of_it():
    (found,) = Nvml(Devices(GEFORCE)).look()
    assert found == Device("GPU-geforce", 0, temperature=61, memory_used=70, memory_total=80)


def test_critical_errors_are_told_once_and_of_whom():
    nvml = Nvml(Devices(A100, GEFORCE, events=[(1, 79), (1, 48), (0, 13)]))
    assert [device.xids for device in nvml.look()] == [(13,), (79, 48)]
    assert [device.xids for device in nvml.look()] == [(), ()]


def test_one_that_is_lost_when_it_is_opened_does_not_hide_the_others():
    nvml = Nvml(Devices(A100 | {"UUID": Failed(LOST)}, GEFORCE))
    assert [(device.uuid, device.index) for device in nvml.look()] == [("GPU-geforce", 1)]


@pytest.mark.parametrize("call", ["nvmlDeviceGetCount", "nvmlEventSetWait_v2"])
def test_a_library_that_fails_is_let_go_and_says_why(call):
    said = Devices(A100)

    def fail(*_):
        raise Failed(UNKNOWN)

    def look():
        nvml = Nvml(said)
        try:
            nvml.look()
        finally:
            nvml.close()

    setattr(said, call, fail)
    with pytest.raises(NoNvml, match="error 999"):
        look()
    assert said.open == 0


def test_without_a_driver_there_is_none():
    with pytest.raises(NoNvml, match="Library Not Found"):
        Nvml(Devices(fails=Failed(ABSENT)))


def test_the_real_library_opens_or_says_why_it_does_not():
    """On a machine without a GPU: why not. With the package, it is the real one that says so."""
    try:
        nvml = Nvml(library())
    except NoNvml as missing:
        assert str(missing)  # noqa: PT017
    else:
        assert all(device.uuid.startswith("GPU-") for device in nvml.look())
        nvml.close()
