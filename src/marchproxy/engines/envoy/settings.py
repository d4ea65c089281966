"""What an Envoy is started with."""

from dataclasses import dataclass
from pathlib import Path

from marchproxy.kit.settings.types import HostPort

LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


@dataclass(frozen=True, slots=True)
class EnvoySettings:
    """One Envoy on this host.

    `run_dir` holds its bootstrap, pid file, lock and log, and belongs to one supervisor. `admin` port 0 lets the kernel
    choose. `binary` None searches. `drain_seconds` is how long Envoy says goodbye to clients of a removed or drained
    listener. `handover_seconds` is how long an Envoy that was replaced may finish what is open. `log_limit` in bytes. `extra_args` go to the command line as they are.
    """

    node_id: str
    cluster: str
    admin: HostPort
    run_dir: Path
    binary: Path | None = None
    concurrency: int = 1
    log_level: str = "warning"
    drain_seconds: int = 10
    handover_seconds: int = 3600
    log_limit: int = 8 * 1024 * 1024
    extra_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.log_level not in LOG_LEVELS:
            raise ValueError(f"log_level {self.log_level!r}: expected one of {', '.join(LOG_LEVELS)}")
        if self.concurrency < 1:
            raise ValueError(f"concurrency {self.concurrency}: an Envoy needs at least one worker")
        if self.drain_seconds < 0:
            raise ValueError(f"drain_seconds {self.drain_seconds}: must not be negative")
        if self.handover_seconds < 1:
            raise ValueError(f"handover_seconds {self.handover_seconds}: must be 1 at least")
