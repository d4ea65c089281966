"""Sight: what a server says of itself when it is asked. Pure.

Functions: https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL and functions-info. Whoever
is not a member of `pg_monitor` does not see what a replica streams; its timeline is then that of its last restart point, which
is older at times and never newer.
"""

from dataclasses import dataclass

from marchproxy.modules.dblb.postgres.inquiry import Row

_STREAMED = "(SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver WHERE status = 'streaming')"
_RESTARTED = "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())"
# the control file of a server that was just promoted has the old timeline still; the name of what it writes does not
_WRITTEN = (
    "('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::bigint"
)
_SINCE = "extract(epoch FROM clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())"

#: What a server is asked; one row, which `read_sight` reads.
QUERY = f"""SELECT standby,
 CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END,
 CASE WHEN standby THEN coalesce({_STREAMED}, {_RESTARTED}) ELSE {_WRITTEN} END,
 CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0 ELSE {_SINCE} END,
 pg_catalog.current_setting('transaction_read_only'),
 pg_catalog.current_setting('default_transaction_isolation'),
 (SELECT system_identifier FROM pg_catalog.pg_control_system()),
 pg_catalog.current_setting('server_version_num')
 FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby) AS role"""  # noqa: S608 - of constants


class NotRead(Exception):
    """A server's answer is none."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A server as it was when it was asked: `asked` on our clock, `latency` until the answer was there, both in seconds.

    `position` in the log, in bytes: what a primary has written, what a standby has replayed; it grows with the `timeline`.
    `behind`: by how many seconds a standby itself believes to be late; None: it does not know.
    """

    asked: float
    latency: float
    standby: bool
    position: int
    timeline: int
    behind: float | None = 0.0
    writable: bool = True
    serializable: bool = False
    """Transactions are serializable unless they say otherwise; a standby then answers nothing."""
    system: str = ""
    """The identifier that a primary and its standbys have in common."""
    version: int = 0


def read_sight(rows: list[Row], *, asked: float, latency: float) -> Sight:
    """What came of QUERY. Raises NotRead."""
    try:
        ((standby, position, timeline, behind, read_only, isolation, system, version),) = rows
        return Sight(
            asked,
            latency,
            standby=standby == "t",
            position=read_position(position),
            timeline=int(timeline or 0),
            behind=None if behind is None else max(0.0, float(behind)),
            writable=standby != "t" and read_only == "off",
            serializable=isolation == "serializable",
            system=system or "",
            version=int(version or 0),
        )
    except ValueError as error:
        raise NotRead(f"the server says of itself what cannot be read: {rows!r:.200}") from error


def read_position(text: str | None) -> int:
    """A pg_lsn in bytes; 0 of a standby that has replayed nothing. Raises ValueError."""
    if text is None:
        return 0
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no pg_lsn")
    return int(high, 16) << 32 | int(low, 16)
