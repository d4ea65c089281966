"""Watch: looks at this host's GPUs every second, in a thread that nobody ever waits for: NVML may not come back."""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb.load.gpus import listeners
from marchproxy.modules.ailb.load.gpus.device import Look
from marchproxy.modules.ailb.load.gpus.judging import Gpus, Known, judge
from marchproxy.modules.ailb.load.gpus.nvml import NoNvml, Nvml, library

_log = get_logger(__name__)
_LOOK_SECONDS = 1.0
#: Until NVML is opened anew, where it does not work or a GPU is lost: it finds again only then what was reset.
_ANEW_SECONDS = 30.0
#: Seconds without a look after which it is said that there is none, and after which what was seen last holds no more.
_SILENT, _HOLDS = 10.0, 60.0


class GpuWatch:
    """`start` it, ask it, `close` it. What it says is as of the last look, which holds for a minute."""

    def __init__(self, clock: Clock, load: Callable[[], Any] = library) -> None:
        self._clock = clock
        self._load = load
        self._gpus = Gpus()
        self._absent = "not looked at yet"
        self._looked_at = 0.0
        self._end = threading.Event()

    def start(self) -> None:
        """Look from now on, unless the package is not there: that stays so."""
        self._looked_at = self._clock.monotonic()
        try:
            nvml = self._load()
        except NoNvml as missing:
            self._absent = str(missing)
            return
        threading.Thread(target=self._run, args=(nvml,), name="gpus", daemon=True).start()

    def close(self) -> None:
        """Look no more, soon."""
        self._end.set()

    @property
    def known(self) -> Iterable[Known]:
        """All GPUs that have been seen."""
        return self._latest.known.values()

    @property
    def trouble(self) -> str:
        """Why nothing is known of GPUs now; empty: it is."""
        if self._absent:
            return self._absent
        return "NVML does not answer" if self._silence > _SILENT else ""

    def unfit(self, addresses: Iterable[str]) -> Mapping[str, str]:
        """Which of these endpoints cannot be asked because of their GPUs, and why."""
        return self._latest.unfit(addresses)

    @property
    def _silence(self) -> float:
        return self._clock.monotonic() - self._looked_at

    @property
    def _latest(self) -> Gpus:
        return self._gpus if self._silence < _HOLDS else Gpus()

    def _run(self, nvml: Any) -> None:
        while not self._end.is_set():
            try:
                self._look_on(Nvml(nvml))
                continue
            except NoNvml as missing:
                if self._absent != str(missing):
                    _log.info("no NVML", reason=str(missing))
                self._absent = str(missing)
            except Exception:  # noqa: BLE001 - a thread that ends would leave what it said last in force; it is logged in full
                _log.exception("GPUs could not be looked at")
                self._absent = "NVML failed; see the log"
            self._end.wait(_ANEW_SECONDS)

    def _look_on(self, nvml: Nvml) -> None:
        """Until the end; or for a while, where a GPU is lost."""
        until = self._clock.monotonic() + _ANEW_SECONDS
        try:
            while not self._end.is_set():
                self._note(nvml)
                if any(one.device.is_lost for one in self.known) and self._clock.monotonic() > until:
                    return
                self._end.wait(_LOOK_SECONDS)
        finally:
            nvml.close()

    def _note(self, nvml: Nvml) -> None:
        devices = nvml.look()
        computing = {pid for device in devices for pid in device.processes}
        before = self._gpus
        look = Look(
            self._clock.now().timestamp(),
            devices,
            listeners.serving(computing),
            listeners.ended(before.uses),
            listeners.own_addresses(),
        )
        self._gpus = judge(before, look)  # one assignment: who asks meanwhile has the one before
        self._absent = "" if devices else "NVML finds no GPU"
        self._looked_at = self._clock.monotonic()
