"""`database` of pools and of routes, with the firewall's rules."""

from marchproxy.contract.document.schema.parts import Duration
from marchproxy.kit.settings import Section
from marchproxy.model.database import DatabasePool, DatabaseRoute, Pooling, ReadTarget
from marchproxy.model.sql import SqlMode, SqlTrait

_POOL = DatabasePool()
_ROUTE = DatabaseRoute()


class DatabasePoolDocument(Section):
    """`database` of a pool: how connections to its servers are kept."""

    pooling: Pooling = _POOL.pooling
    size: int = _POOL.size
    wait: Duration = _POOL.wait
    idle: Duration = _POOL.idle
    lifetime: Duration = _POOL.lifetime
    users: str = _POOL.users
    monitor: str = _POOL.monitor
    monitor_database: str = _POOL.monitor_database
    probe_interval: Duration = _POOL.probe_interval
    max_lag: Duration = _POOL.max_lag
    reset: str = _POOL.reset
    cluster: bool = _POOL.cluster


class SqlRuleDocument(Section):
    """One rule of a route's `database.firewall`; for whom it is stands beside what it looks for."""

    id: str
    mode: SqlMode
    kinds: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    traits: tuple[SqlTrait, ...] = ()
    users: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()


class DatabaseRouteDocument(Section):
    """`database` of a route: which sessions it takes, and what becomes of their statements."""

    databases: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    rename: str = _ROUTE.rename
    target: ReadTarget = _ROUTE.target
    writes: str = _ROUTE.writes
    switch_timeout: Duration = _ROUTE.switch_timeout
    split_reads: bool = _ROUTE.split_reads
    catch_up: Duration = _ROUTE.catch_up
    hints: bool = _ROUTE.hints
    firewall: tuple[SqlRuleDocument, ...] = ()
    needs: tuple[str, ...] = ()
