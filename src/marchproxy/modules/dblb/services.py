"""Services: which code speaks which protocol. It is imported when a port of the protocol is opened, and not before."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TypeAlias

from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.service import DatabaseService, Surroundings

Factory: TypeAlias = Callable[[Surroundings], DatabaseService]


def _service(package: str, around: Surroundings) -> DatabaseService:
    made: DatabaseService = import_module(f"marchproxy.modules.dblb.{package}.service").Service(around)
    return made


SERVICES: Mapping[Protocol, Factory] = {
    protocol: partial(_service, protocol.value)
    for protocol in (Protocol.POSTGRES, Protocol.MYSQL, Protocol.MONGODB, Protocol.REDIS)
}
