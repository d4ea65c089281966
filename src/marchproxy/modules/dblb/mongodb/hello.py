"""Hello: what servers say they are, and what clients are told that we are. Pure.

We are a mongos. It is what makes drivers send $readPreference, use sessions and transactions, and look for no other server.
https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring/server-discovery-and-monitoring.md
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from marchproxy.wire.mongodb import bson, message
from marchproxy.wire.mongodb.bson import ObjectId, Value
from marchproxy.wire.mongodb.framing import LARGEST

#: The last wire version whose rules are known here (MongoDB 8.0).
NEWEST_WIRE = 25
LARGEST_DOCUMENT, LARGEST_BATCH = 16 * 1024 * 1024, 100_000
NAMES = frozenset({"hello", "isMaster", "ismaster"})


class Role(Enum):
    """What a server is; a mongos or a single server is a primary."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says of itself. Sizes in bytes, the session timeout in minutes."""

    role: Role
    wire: tuple[int, int] = (0, NEWEST_WIRE)
    largest_document: int = LARGEST_DOCUMENT
    largest_message: int = LARGEST
    largest_batch: int = LARGEST_BATCH
    session_minutes: int | None = None
    mechanisms: frozenset[str] = frozenset()
    written: float | None = field(default=None, compare=False)
    """When its last write was made, by the primary's clock; a server that is no replica does not say."""


def read_facts(answer: bytes) -> Facts:
    """What a server's answer to hello says. Raises ProtocolFault."""
    start, end = message.body(answer)
    places = bson.fields(answer, start, end)

    def number(name: bytes, default: int) -> int:
        found = bson.number(answer, places.get(name))
        return default if found is None else found

    role = Role.OTHER
    if number(b"isWritablePrimary", 0) or number(b"ismaster", 0):
        role = Role.PRIMARY
    elif number(b"secondary", 0):
        role = Role.SECONDARY
    last = places.get(b"lastWrite")
    written = bson.fields(answer, last[1], last[2]).get(b"lastWriteDate") if last and last[0] == 3 else None
    mechanisms = places.get(b"saslSupportedMechs")
    words = bson.walk(answer, mechanisms[1], mechanisms[2]) if mechanisms and mechanisms[0] == 4 else ()
    return Facts(
        role,
        (number(b"minWireVersion", 0), number(b"maxWireVersion", 0)),
        number(b"maxBsonObjectSize", LARGEST_DOCUMENT),
        min(LARGEST, number(b"maxMessageSizeBytes", LARGEST)),
        number(b"maxWriteBatchSize", LARGEST_BATCH),
        bson.number(answer, places.get(b"logicalSessionTimeoutMinutes")),
        frozenset(word for _, place in words if (word := bson.text(answer, place))),
        bson.moment(answer, written),
    )


def least(facts: Iterable[Facts]) -> Facts:
    """What all of some servers can do; what most can, where none is known."""
    known = list(facts) or [Facts(Role.OTHER, session_minutes=30)]
    minutes = [one.session_minutes for one in known]
    return Facts(
        Role.PRIMARY,
        (max(one.wire[0] for one in known), min(NEWEST_WIRE, *(one.wire[1] for one in known))),
        min(one.largest_document for one in known),
        min(one.largest_message for one in known),
        min(one.largest_batch for one in known),
        None if None in minutes else min(minute for minute in minutes if minute is not None),
    )


def answer_hello(facts: Facts, connection: int, compressors: tuple[str, ...]) -> dict[str, Value | ObjectId]:
    """The answer to a client's hello. It has no topologyVersion, so that drivers ask again and do not wait for news."""
    told: dict[str, Value | ObjectId] = {
        "helloOk": True,
        "ismaster": True,
        "isWritablePrimary": True,
        "msg": "isdbgrid",
        "maxBsonObjectSize": facts.largest_document,
        "maxMessageSizeBytes": facts.largest_message,
        "maxWriteBatchSize": facts.largest_batch,
        "localTime": datetime.now(UTC),
        "connectionId": connection,
        "minWireVersion": facts.wire[0],
        "maxWireVersion": facts.wire[1],
        "readOnly": False,
    }
    if facts.session_minutes is not None:
        told["logicalSessionTimeoutMinutes"] = facts.session_minutes
    if compressors:
        told["compression"] = compressors
    return told
