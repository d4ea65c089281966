"""Connects: what the data plane's counts say of an instance's traffic endpoint. Pure."""

from marchproxy.nlb.dataplane.plane import ConnectionCounts

#: Fewer failures than these within one look are bad luck.
LEAST_FAILURES = 3


def failed_percent(before: ConnectionCounts, now: ConnectionCounts) -> float | None:
    """Percent of the attempts to connect since `before` that failed; None where there were none, or counts began anew."""
    opened, failed = now.total - before.total, now.failed - before.failed
    if opened < 0 or failed < 0 or not (opened or failed):
        return None
    # some data planes count a failed attempt as a connection too, some do not
    return 100 * failed / max(opened, failed)


def trouble(before: ConnectionCounts, now: ConnectionCounts) -> str | None:
    """What is wrong with the endpoint: half of the attempts or more failed. Empty: nothing. None: too little was seen."""
    percent = failed_percent(before, now)
    if percent is None:
        return None
    failed = now.failed - before.failed
    if percent < 50:
        return ""
    return f"{failed} of the last attempts to connect failed" if failed >= LEAST_FAILURES else None
