"""The pid file: what a supervisor leaves behind so that the next one can adopt the Envoy it finds running. Pure."""

import json
from dataclasses import asdict, dataclass

from marchproxy.kit.settings.types import HostPort


@dataclass(frozen=True, slots=True)
class PidRecord:
    """One running Envoy.

    `start_ticks` is field 22 of /proc/<pid>/stat: a pid is used again, the pair is not. `fingerprint` stands for what
    it was started with. `admin` is None until its admin API has answered. `epoch` counts hot restarts since `base_id`
    was reserved for its shared memory; without one (0) it cannot be restarted without a cut.
    """

    pid: int
    start_ticks: int
    fingerprint: str
    admin: HostPort | None = None
    epoch: int = 0
    base_id: int = 0


def render_record(record: PidRecord) -> bytes:
    """Return the file's content."""
    fields = asdict(record) | {"admin": str(record.admin) if record.admin else None}
    return json.dumps(fields).encode() + b"\n"


def parse_record(content: bytes) -> PidRecord | None:
    """Read the file's content; None when it is not such a file (truncated, foreign, edited)."""
    try:
        fields = json.loads(content)
        pid, ticks, fingerprint, admin = (
            fields[key] for key in ("pid", "start_ticks", "fingerprint", "admin")
        )
        epoch, base_id = fields.get("epoch", 0), fields.get("base_id", 0)
        address = None if admin is None else HostPort.parse(admin)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    # pid 1 is never an Envoy of ours, and a signal to it would end the container
    numbers = _at_least(2, pid) and _at_least(1, ticks) and _at_least(0, epoch, base_id)
    if not numbers or not isinstance(fingerprint, str):
        return None
    return PidRecord(pid, ticks, fingerprint, address, epoch, base_id)


def _at_least(least: int, *found: object) -> bool:
    return all(
        isinstance(number, int) and not isinstance(number, bool) and number >= least for number in found
    )
