"""Connects: what the data plane's counts say of an instance's traffic endpoint. Pure."""

from dataclasses import dataclass, replace

from marchproxy.nlb.dataplane.plane import ConnectionCounts

#: Fewer failures than these are bad luck.
LEAST_FAILURES = 3
#: After so many seconds without a further failure, and without a success either, nothing is known any more.
FORGET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Record:
    """Counts at the last look and when all was last well, and when a failure was last seen (monotonic seconds).

    Data planes spare an instance that fails, so failures come seldom: they add up until something succeeds.
    """

    last: ConnectionCounts
    well: ConnectionCounts
    failed_at: float


def failed_percent(before: ConnectionCounts, now: ConnectionCounts) -> float | None:
    """Percent of the attempts to connect since `before` that failed; None where there were none, or counts began anew."""
    opened, failed = now.total - before.total, now.failed - before.failed
    if opened < 0 or failed < 0 or not (opened or failed):
        return None
    return 100 * failed / (opened + failed)


def begin(counts: ConnectionCounts, now: float) -> Record:
    """The record of an endpoint of which nothing before these counts matters."""
    return Record(counts, counts, now)


def look(record: Record, counts: ConnectionCounts, now: float) -> tuple[Record, str]:
    """Take in the counts of now: what is wrong with the endpoint, in words, or nothing."""
    if counts.total < record.last.total or counts.failed < record.last.failed:
        return begin(counts, now), ""
    latest = failed_percent(record.last, counts)
    failed_at = now if counts.failed > record.last.failed else record.failed_at
    if (latest is not None and latest < 50) or now - failed_at >= FORGET_SECONDS:
        return Record(counts, counts, failed_at), ""
    record = replace(record, last=counts, failed_at=failed_at)
    failed = counts.failed - record.well.failed
    return record, f"{failed} attempts to connect failed" if failed >= LEAST_FAILURES else ""
