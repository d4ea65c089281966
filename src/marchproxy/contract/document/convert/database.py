"""`database` of pools and of routes. Where a part has the same fields on both sides, it is taken over as it is."""

from dataclasses import asdict, fields

from marchproxy.contract.document.schema.database import (
    DatabasePoolDocument,
    DatabaseRouteDocument,
    SqlRuleDocument,
)
from marchproxy.model.database import DatabasePool, DatabaseRoute
from marchproxy.model.sql import SqlRule, SqlScope

_OF_SCOPE = tuple(field.name for field in fields(SqlScope))


def database_pool(item: DatabasePoolDocument | None) -> DatabasePool | None:
    """How connections are kept, where that is said."""
    return None if item is None else DatabasePool(**dict(item))


def database_pool_document(item: DatabasePool | None) -> DatabasePoolDocument | None:
    """The document of how connections are kept."""
    return None if item is None else DatabasePoolDocument(**asdict(item))


def database_route(item: DatabaseRouteDocument | None) -> DatabaseRoute | None:
    """What a route of a database has beside, where something is said."""
    if item is None:
        return None
    return DatabaseRoute(**{**dict(item), "firewall": tuple(_rule(rule) for rule in item.firewall)})


def database_route_document(item: DatabaseRoute | None) -> DatabaseRouteDocument | None:
    """The document of what a route of a database has beside."""
    if item is None:
        return None
    rules = tuple(_rule_document(rule) for rule in item.firewall)
    return DatabaseRouteDocument(**{**asdict(item), "firewall": rules})


def _rule(item: SqlRuleDocument) -> SqlRule:
    values = dict(item)
    scope = SqlScope(**{key: values.pop(key) for key in _OF_SCOPE})
    return SqlRule(**values, scope=scope)


def _rule_document(item: SqlRule) -> SqlRuleDocument:
    values = asdict(item)
    return SqlRuleDocument(**values.pop("scope"), **values)
