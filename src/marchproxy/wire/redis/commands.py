"""Commands: what a proxy must know of each, from `COMMAND` of Redis 7.0. Unknown ones are taken for writes.

https://redis.io/docs/latest/commands/command/
"""

from collections.abc import Sequence
from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """What a command asks of the connection to a server."""

    WRITE = "write"
    """Any connection to the primary."""
    READ = "read"
    """Any connection, also to a replica."""
    SESSION = "session"
    """It is about the client's own connection: the proxy answers it."""
    TRANSACTION = "transaction"
    """MULTI and WATCH: what follows must come over the same connection."""
    TRANSACTION_END = "end of a transaction"
    BLOCKING = "blocking"
    """It may wait for data, and hold up everything behind it."""
    STREAM = "stream"
    """From then on the server speaks unasked, or answers unevenly: SUBSCRIBE, MONITOR, CLIENT TRACKING."""
    OPERATOR = "operator"
    """It changes what the server is, or is the server's own affair."""


_KINDS = {
    Kind.READ: """
        BITCOUNT BITFIELD_RO BITPOS DUMP EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUS_RO GEORADIUSBYMEMBER_RO GEOSEARCH
        GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HRANDFIELD HSTRLEN HVALS LINDEX LLEN LPOS LRANGE
        PEXPIRETIME PTTL SCARD SISMEMBER SMEMBERS SMISMEMBER SORT_RO SRANDMEMBER STRLEN SUBSTR TTL TYPE XLEN XPENDING
        XRANGE XREVRANGE ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE
        ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCORE EXISTS MGET SDIFF SINTER SUNION LCS DBSIZE EVAL_RO EVALSHA_RO
        FCALL_RO KEYS RANDOMKEY SINTERCARD XREAD ZDIFF ZINTER ZINTERCARD ZUNION""",
    Kind.SESSION: "ACL AUTH CLIENT HELLO QUIT READONLY READWRITE RESET SELECT",
    Kind.TRANSACTION: "MULTI WATCH",
    Kind.TRANSACTION_END: "DISCARD EXEC UNWATCH",
    Kind.BLOCKING: "BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN WAIT WAITAOF",
    Kind.STREAM: "MONITOR PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE",
    Kind.OPERATOR: """
        BGREWRITEAOF BGSAVE CONFIG DEBUG FAILOVER MIGRATE MODULE PFDEBUG PFSELFTEST PSYNC REPLCONF REPLICAOF SAVE
        SHUTDOWN SLAVEOF SYNC ASKING RESTORE-ASKING""",
}
_TABLE = MappingProxyType(
    {name.encode(): kind for kind, names in _KINDS.items() for name in names.split()}
    | {b"XREADGROUP": Kind.WRITE}
)
_NO_KEYS = frozenset(
    b"""
    DBSIZE KEYS RANDOMKEY FLUSHALL FLUSHDB SWAPDB ACL AUTH CLIENT CLUSTER COMMAND CONFIG ECHO INFO PING PUBLISH PUBSUB
    ROLE SCAN SCRIPT SELECT SLOWLOG TIME WAIT WAITAOF MULTI EXEC DISCARD UNWATCH SUBSCRIBE PSUBSCRIBE UNSUBSCRIBE
    PUNSUBSCRIBE MONITOR HELLO QUIT RESET FUNCTION LATENCY MEMORY MODULE LASTSAVE LOLWUT READONLY READWRITE
    """.split()
)
_COUNTED = MappingProxyType(
    {  # where the number of keys stands
        **dict.fromkeys((b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO", b"FCALL", b"FCALL_RO"), 2),
        **dict.fromkeys((b"BLMPOP", b"BZMPOP"), 2),
        **dict.fromkeys(
            (b"LMPOP", b"ZMPOP", b"SINTERCARD", b"ZDIFF", b"ZINTER", b"ZINTERCARD", b"ZUNION"), 1
        ),
    }
)
_ALL = frozenset(
    b"DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK WATCH".split()
)
_BUT_LAST = frozenset(b"BLPOP BRPOP BZPOPMAX BZPOPMIN".split())
_FIRST_TWO = frozenset(
    b"BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE".split()
)
_STEP_TWO = frozenset((b"MSET", b"MSETNX"))
_SECOND = frozenset((b"OBJECT", b"XGROUP", b"XINFO", b"PFDEBUG", b"DEBUG"))
_STREAMS = frozenset((b"XREAD", b"XREADGROUP"))

#: The names of commands that are more than a read or a write, or may be; and that of a part of a command.
APART = frozenset(
    {name for name, kind in _TABLE.items() if kind not in (Kind.READ, Kind.WRITE)} | _STREAMS | {b""}
)


def kind_of(name: bytes) -> Kind:
    """What a command is by its name, in capitals. XREAD and XREADGROUP block when they say BLOCK; see `blocks`."""
    return _TABLE.get(name, Kind.WRITE)


def may_block(name: bytes) -> bool:
    """Whether its words must be looked at, to tell whether it blocks."""
    return name in _STREAMS


def blocks(words: Sequence[bytes]) -> bool:
    """Whether XREAD or XREADGROUP waits: BLOCK stands before STREAMS."""
    upper = [word.upper() for word in words]
    end = upper.index(b"STREAMS") if b"STREAMS" in upper else len(upper)
    return b"BLOCK" in upper[:end]


def keys(words: Sequence[bytes]) -> list[bytes]:  # noqa: C901, PLR0911 - one way for each way in which keys may stand
    """The keys of a command, its name in capitals. A command that is not known has its first word for one."""
    name = words[0]
    if name in _NO_KEYS or len(words) < 2:
        return []
    if name in _COUNTED:
        at = _COUNTED[name]
        if len(words) <= at or not words[at].isdigit() or len(words[at]) > 7:
            return []
        return list(words[at + 1 : at + 1 + int(words[at])])
    if name in _ALL:
        return list(words[1:])
    if name in _BUT_LAST:
        return list(words[1:-1])
    if name in _FIRST_TWO:
        return list(words[1:3])
    if name in _STEP_TWO:
        return list(words[1::2])
    if name == b"BITOP":
        return list(words[2:])
    if name in _SECOND:
        return list(words[2:3])
    if name in _STREAMS:
        upper = [word.upper() for word in words]
        rest = words[upper.index(b"STREAMS") + 1 :] if b"STREAMS" in upper else []
        return list(rest[: len(rest) // 2])
    return [words[1]]
