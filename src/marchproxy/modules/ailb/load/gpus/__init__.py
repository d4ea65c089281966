"""GPUs: which of this host's are not well, and which endpoints must not be asked because of that.

`watch` looks again and again by `nvml` and `listeners`; `judging` says what that means. A gateway sees the GPUs of its own host
only. Of others, and where there is no NVML, what engines say and how they fail is all that is known.
"""

from marchproxy.modules.ailb.load.gpus.device import Device, Listener, Look
from marchproxy.modules.ailb.load.gpus.judging import Gpus, Known, judge
from marchproxy.modules.ailb.load.gpus.watch import GpuWatch

__all__ = ["Device", "GpuWatch", "Gpus", "Known", "Listener", "Look", "judge"]
