"""Lookup: a client that waits while another worker is asked for its cursor."""

from collections.abc import Callable

from marchproxy.modules.dblb.mongodb.link import Link
from marchproxy.modules.dblb.mongodb.pins import Cursor
from marchproxy.modules.dblb.mongodb.registry import Registry


class Lookup:
    """`found` is called with what there is, unless the client has left."""

    def __init__(
        self, registry: Registry, number: int, user: str, found: Callable[[Cursor | None], None]
    ) -> None:
        self._found: Callable[[Cursor | None], None] | None = found
        registry.ask(number, user, self._hear)

    @property
    def link(self) -> Link | None:
        """It has none."""
        return None

    def leave(self) -> None:
        """The client is gone."""
        self._found = None

    def _hear(self, cursor: Cursor | None) -> None:
        if self._found is not None:
            self._found(cursor)
