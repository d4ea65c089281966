"""The pid file: what a supervisor leaves behind so that the next one can adopt the Envoy it finds running. Pure."""

import json
from dataclasses import asdict, dataclass

from marchproxy.kit.settings.types import HostPort


@dataclass(frozen=True, slots=True)
class PidRecord:
    """One running Envoy.

    `start_ticks` is field 22 of /proc/<pid>/stat: a pid is used again, the pair is not. `fingerprint` stands for what
    it was started with. `admin` is None until its admin API has answered.
    """

    pid: int
    start_ticks: int
    fingerprint: str
    admin: HostPort | None = None


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
        address = None if admin is None else HostPort.parse(admin)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    numbers = all(
        isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in (pid, ticks)
    )
    # pid 1 is never an Envoy of ours, and a signal to it would end the container
    return (
        PidRecord(pid, ticks, fingerprint, address)
        if numbers and pid > 1 and isinstance(fingerprint, str)
        else None
    )
