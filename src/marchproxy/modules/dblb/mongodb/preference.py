"""Preference: which kind of server a command may go to. To the primary whenever in doubt. Pure.

https://github.com/mongodb/specifications/blob/master/source/server-selection/server-selection.md
"""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from marchproxy.model.database import DatabaseRoute, ReadTarget
from marchproxy.wire.mongodb import bson
from marchproxy.wire.mongodb.bson import Place
from marchproxy.wire.mongodb.command import Command


class Mode(Enum):
    """Those of $readPreference."""

    PRIMARY = "primary"
    PRIMARY_PREFERRED = "primaryPreferred"
    SECONDARY = "secondary"
    SECONDARY_PREFERRED = "secondaryPreferred"
    NEAREST = "nearest"


class NotUnderstood(Exception):
    """A preference that cannot be kept here."""


_READS = frozenset(
    {"find", "aggregate", "count", "distinct", "listCollections", "listIndexes", "listDatabases"}
    | {"collStats", "dbStats", "explain", "dbHash", "ping"}
)
_HARMLESS = frozenset({"ping", "endSessions", "buildInfo", "buildinfo", "connectionStatus"})
#: Looked up for each command, and in the Enums that takes ten times as long.
_ON_PRIMARY, _ON_REPLICA, _PRIMARY, _SECONDARY = (
    ReadTarget.PRIMARY,
    ReadTarget.REPLICA,
    Mode.PRIMARY,
    Mode.SECONDARY,
)
_NONE, _SHORT = bytes((5, 0, 0, 0, 0)), 128
_WRITING_STAGES = (b"\x03$merge\0", b"$out\0")


def mode_of(command: Command) -> Mode:
    """Where a command may go. Raises NotUnderstood, ProtocolFault."""
    if b"$readPreference" not in command.places or command.name not in _READS or _may_write(command):
        return _PRIMARY
    kind, start, end = command.places[b"$readPreference"]
    wanted = command.data[start:end] if kind == bson.Kind.DOCUMENT else _NONE
    return _wanted(wanted) if len(wanted) <= _SHORT else _wanted.__wrapped__(wanted)


@lru_cache(maxsize=256)  # a driver says the same with each command
def _wanted(data: bytes) -> Mode:
    wanted = bson.fields(data, 0, len(data))
    word = bson.text(data, wanted.get(b"mode"))
    try:
        mode = Mode(word)
    except ValueError:
        raise NotUnderstood(f"$readPreference.mode {word!r} is none") from None
    if mode is Mode.PRIMARY or not _constrained(data, wanted):
        return mode
    if mode in {Mode.PRIMARY_PREFERRED, Mode.SECONDARY_PREFERRED}:
        return Mode.PRIMARY
    raise NotUnderstood(
        f"tag sets and maxStalenessSeconds are not kept here; ask for {mode.value} without them"
    )


def place_of(command: Command, options: DatabaseRoute) -> Mode | None:
    """Where a command may go on a route; None: nowhere, since it writes. Raises NotUnderstood, ProtocolFault.

    Without `split_reads` the primary answers whoever takes its answers; who wants a secondary alone gets one.
    """
    if options.target is _ON_PRIMARY:
        return _PRIMARY
    if options.target is _ON_REPLICA:
        if command.name in _HARMLESS:
            return Mode.SECONDARY_PREFERRED
        return Mode.SECONDARY if command.name in _READS and not _may_write(command) else None
    mode = mode_of(command)
    return mode if options.split_reads or mode is _SECONDARY else _PRIMARY


def _may_write(command: Command) -> bool:
    """Whether it is part of a transaction, or has a stage that writes; a text that only looks like one counts too."""
    if b"autocommit" in command.places:
        return True
    return command.name == "aggregate" and any(
        command.data.find(stage, command.start, command.end) >= 0 for stage in _WRITING_STAGES
    )


def _constrained(data: bytes, wanted: Mapping[bytes, Place]) -> bool:
    if b"maxStalenessSeconds" in wanted and bson.number(data, wanted[b"maxStalenessSeconds"]) != -1:
        return True
    place = wanted.get(b"tags")
    if place is None or place[0] != bson.Kind.ARRAY:
        return place is not None
    return any(
        item[2] - item[1] > 5 for _, item in bson.walk(data, place[1], place[2])
    )  # an empty one fits all
