"""`database` of pools and of routes, with the firewall's rules."""

from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.convert.enums import POOLINGS, READ_TARGETS, SQL_MODES, SQL_TRAITS
from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.database import DatabasePool, DatabaseRoute
from marchproxy.model.module import PoolName
from marchproxy.model.sql import SqlMode, SqlRule, SqlScope, SqlTrait

_POOL = DatabasePool()
_ROUTE = DatabaseRoute()


def database_pool_to_pb(pool: DatabasePool) -> types_pb2.DatabasePool:
    """The message."""
    return types_pb2.DatabasePool(
        pooling=POOLINGS.to_pb(pool.pooling),
        size=pool.size,
        wait=seconds_to_pb(pool.wait),
        idle=seconds_to_pb(pool.idle),
        lifetime=seconds_to_pb(pool.lifetime),
        users=pool.users,
        monitor=pool.monitor,
        monitor_database=pool.monitor_database,
        probe_interval=seconds_to_pb(pool.probe_interval),
        max_lag=seconds_to_pb(pool.max_lag),
        reset=pool.reset,
        cluster=pool.cluster,
    )


def read_database_pool(pb: types_pb2.DatabasePool, path: str, faults: Faults) -> DatabasePool:
    """How connections are kept, as far as it can be read; what is left out has the model's default."""

    def read(name: str, default: float) -> float:
        field: Duration = getattr(pb, name)
        return read_seconds(field, f"{path}.{name}", faults) if pb.HasField(name) else default  # type: ignore[arg-type]

    return DatabasePool(
        pooling=POOLINGS.read(pb.pooling, f"{path}.pooling", faults) or _POOL.pooling,
        size=pb.size or _POOL.size,
        wait=read("wait", _POOL.wait),
        idle=read("idle", _POOL.idle),
        lifetime=read("lifetime", _POOL.lifetime),
        users=pb.users,
        monitor=pb.monitor,
        monitor_database=pb.monitor_database or _POOL.monitor_database,
        probe_interval=read("probe_interval", _POOL.probe_interval),
        max_lag=read("max_lag", _POOL.max_lag),
        reset=pb.reset if pb.HasField("reset") else _POOL.reset,
        cluster=pb.cluster,
    )


def database_route_to_pb(route: DatabaseRoute) -> types_pb2.DatabaseRoute:
    """The message."""
    return types_pb2.DatabaseRoute(
        databases=route.databases,
        users=route.users,
        applications=route.applications,
        prefixes=route.prefixes,
        rename=route.rename,
        target=READ_TARGETS.to_pb(route.target),
        writes=route.writes,
        switch_timeout=seconds_to_pb(route.switch_timeout),
        split_reads=route.split_reads,
        catch_up=seconds_to_pb(route.catch_up),
        hints=None if route.hints else False,
        firewall=[_rule_to_pb(rule) for rule in route.firewall],
        needs=route.needs,
    )


def read_database_route(pb: types_pb2.DatabaseRoute, path: str, faults: Faults) -> DatabaseRoute:
    """What a route of a database has beside, as far as it can be read; what is left out has the model's default."""
    return DatabaseRoute(
        databases=tuple(pb.databases),
        users=tuple(pb.users),
        applications=tuple(pb.applications),
        prefixes=tuple(pb.prefixes),
        rename=pb.rename,
        target=READ_TARGETS.read(pb.target, f"{path}.target", faults) or _ROUTE.target,
        writes=PoolName(pb.writes),
        switch_timeout=read_seconds(pb.switch_timeout, f"{path}.switch_timeout", faults)
        if pb.HasField("switch_timeout")
        else _ROUTE.switch_timeout,
        split_reads=pb.split_reads,
        catch_up=read_seconds(pb.catch_up, f"{path}.catch_up", faults)
        if pb.HasField("catch_up")
        else _ROUTE.catch_up,
        hints=pb.hints if pb.HasField("hints") else _ROUTE.hints,
        firewall=tuple(
            _read_rule(rule, f"{path}.firewall[{number}]", faults) for number, rule in enumerate(pb.firewall)
        ),
        needs=tuple(pb.needs),
    )


def _rule_to_pb(rule: SqlRule) -> types_pb2.SqlRule:
    return types_pb2.SqlRule(
        id=rule.id,
        mode=SQL_MODES.to_pb(rule.mode),
        kinds=rule.kinds,
        tables=rule.tables,
        columns=rule.columns,
        functions=rule.functions,
        traits=[SQL_TRAITS.to_pb(trait) for trait in rule.traits],
        users=rule.scope.users,
        databases=rule.scope.databases,
        applications=rule.scope.applications,
    )


def _read_rule(pb: types_pb2.SqlRule, path: str, faults: Faults) -> SqlRule:
    if pb.mode == types_pb2.SQL_MODE_UNSPECIFIED:
        faults.add(f"{path}.mode", "is not given; a rule allows, logs, warns or blocks")
    return SqlRule(
        id=pb.id,
        mode=SQL_MODES.read(pb.mode, f"{path}.mode", faults) or SqlMode.BLOCK,
        kinds=tuple(pb.kinds),
        tables=tuple(pb.tables),
        columns=tuple(pb.columns),
        functions=tuple(pb.functions),
        traits=tuple(_read_traits(pb, f"{path}.traits", faults)),
        scope=SqlScope(tuple(pb.users), tuple(pb.databases), tuple(pb.applications)),
    )


def _read_traits(pb: types_pb2.SqlRule, path: str, faults: Faults) -> Iterator[SqlTrait]:
    """A rule without a trait that it was given would match more than was meant, so an unknown one is a fault."""
    for number, value in enumerate(pb.traits):
        trait = SQL_TRAITS.read(value, f"{path}[{number}]", faults)
        if trait is not None:
            yield trait
        elif value == types_pb2.SQL_TRAIT_UNSPECIFIED:
            faults.add(f"{path}[{number}]", "is not given")
