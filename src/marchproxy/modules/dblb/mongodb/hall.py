"""Hall: what a session needs to know of users, servers and cursors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from marchproxy.modules.dblb.mongodb.allowance import Allowance
    from marchproxy.modules.dblb.mongodb.client import Client
    from marchproxy.modules.dblb.mongodb.hello import Facts
    from marchproxy.modules.dblb.mongodb.registry import Registry
    from marchproxy.modules.dblb.mongodb.settings import MongoLimits
    from marchproxy.modules.dblb.mongodb.visits import Desk
    from marchproxy.wire.mongodb.bson import ObjectId


class Hall(Protocol):
    """What all sessions share. `proven`: the passwords that users have shown, for servers."""

    limits: MongoLimits
    registry: Registry
    allowance: Allowance
    desk: Desk
    identity: ObjectId
    numbers: Iterator[int]
    proven: dict[str, str]

    def facts(self) -> Facts:
        """What every server that answers can do."""
        ...

    def left(self, client: Client) -> None:
        """A client is gone."""
        ...
