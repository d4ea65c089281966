"""Detect: which protocol a client speaks, told from its first bytes. `table` lists the recognisers, one file each."""

from marchproxy.wire.detect.table import DEFAULT_LIMIT, detect, silent
from marchproxy.wire.detect.verdict import ALL, Detected, NeedMore, Protocol, Unknown, Verdict

__all__ = [
    "ALL",
    "DEFAULT_LIMIT",
    "Detected",
    "NeedMore",
    "Protocol",
    "Unknown",
    "Verdict",
    "detect",
    "silent",
]
