"""Leftovers: what stays of Envoys that were ended by somebody else than their supervisor."""

from pathlib import Path

from marchproxy.engines.envoy import shared_memory
from marchproxy.engines.envoy.run_directory import Role, RunDirectory


def sweep(run_dir: Path) -> None:
    """Remove it, on disk and in memory; nothing happens where nothing is left. Only while none of them runs."""
    if not run_dir.is_dir():
        return
    directory = RunDirectory(run_dir)
    for record in (directory.read_record(role) for role in Role):
        if record is not None and record.base_id:
            shared_memory.remove(record.base_id)
    directory.forget_all()
