"""Services: which code speaks which protocol. It is imported when a port of the protocol is opened, and not before."""

# ruff: noqa: PLC0415 - what is not spoken is not loaded

from collections.abc import Callable, Mapping
from typing import TypeAlias

from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.service import DatabaseService, Surroundings

Factory: TypeAlias = Callable[[Surroundings], DatabaseService]


def _postgres(around: Surroundings) -> DatabaseService:
    from marchproxy.modules.dblb.postgres.service import PostgresService

    return PostgresService(around)


def _mysql(around: Surroundings) -> DatabaseService:
    from marchproxy.modules.dblb.mysql.service import MySqlService

    return MySqlService(around)


def _redis(around: Surroundings) -> DatabaseService:
    from marchproxy.modules.dblb.redis.service import RedisService

    return RedisService(around)


def _mongodb(around: Surroundings) -> DatabaseService:
    from marchproxy.modules.dblb.mongodb.service import MongoService

    return MongoService(around)


SERVICES: Mapping[Protocol, Factory] = {
    Protocol.POSTGRES: _postgres,
    Protocol.MYSQL: _mysql,
    Protocol.MONGODB: _mongodb,
    Protocol.REDIS: _redis,
}
