"""Databases: what a pool of database servers and a route of a database protocol have beside the rest. Frozen values."""

from dataclasses import dataclass
from enum import Enum

from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.sql import SqlRule

#: The protocols that the DBLB speaks.
DATABASE_PROTOCOLS = frozenset({Protocol.POSTGRES, Protocol.MYSQL, Protocol.MONGODB, Protocol.REDIS})


class Pooling(Enum):
    """How long a client has a server connection for itself: for a transaction, or as long as it is connected."""

    TRANSACTION = "transaction"
    SESSION = "session"


class ReadTarget(Enum):
    """Who may answer reads: AUTO as `split_reads` says; PRIMARY nobody else; REPLICA replicas, and writes are refused."""

    AUTO = "auto"
    PRIMARY = "primary"
    REPLICA = "replica"


#: What a Redis route may need that Envoy's redis_proxy does not have.
REDIS_NEEDS = frozenset({"subscribe", "blocking", "watch", "databases"})


@dataclass(frozen=True, slots=True)
class DatabasePool:
    """How connections to database servers are kept. Times in seconds; `idle` and `lifetime` 0: for ever.

    `size`: the most connections to each server for each user and database, by all workers of an instance together.
    `users`: a file of lines `"user" "password"`, as whom clients' sessions are opened on servers; a user who is not in it
    is opened with the password that clients prove, where that is known. `monitor`: the user of that file as whom servers
    are looked at every `probe_interval`, in `monitor_database`; a pool of several servers needs it, because who is primary
    is found by looking. A replica more than `max_lag` behind gets no reads. `reset`: what is run when a session ends (SQL;
    session pooling, and after what pinned a client). `cluster`: the servers are a Redis Cluster.
    """

    pooling: Pooling = Pooling.TRANSACTION
    size: int = 20
    wait: float = 10.0
    idle: float = 600.0
    lifetime: float = 3600.0
    users: str = ""
    monitor: str = ""
    monitor_database: str = "postgres"
    probe_interval: float = 1.0
    max_lag: float = 10.0
    reset: str = "DISCARD ALL"
    cluster: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseRoute:
    """Which sessions a route takes, and what becomes of their statements. Patterns (*, ?, […]) as in a shell; none: all.

    `databases` of Redis are numbers; `prefixes` are of Redis' keys. `rename`: the database's name on the servers.
    `writes`: the one of the route's pools that takes writes, while the shares divide reads and sessions that only read;
    empty: the shares divide whole sessions. When `writes` changes, writes pause, wait up to `switch_timeout` seconds
    until the other pool has them all, and go on there; otherwise nothing changes. `split_reads`: reads go to replicas
    where they cannot be told from the primary's; a client's own writes are waited for up to `catch_up` seconds.
    `hints`: whether comments such as `/* marchproxy: primary */` are heeded. `needs`: of REDIS_NEEDS.
    """

    databases: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    rename: str = ""
    target: ReadTarget = ReadTarget.AUTO
    writes: PoolName = PoolName("")
    switch_timeout: float = 10.0
    split_reads: bool = False
    catch_up: float = 0.05
    hints: bool = True
    firewall: tuple[SqlRule, ...] = ()
    needs: tuple[str, ...] = ()
