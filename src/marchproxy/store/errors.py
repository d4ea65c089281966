"""What a store answers when it cannot do what it was asked."""

from marchproxy.model.revision import RevisionHead


class StoreUnavailable(Exception):
    """The database cannot be asked now: it is away, locked, slow or full. Whether the last change was made is not known.

    The text says what to do about it.
    """


class StoreUnusable(StoreUnavailable):
    """Waiting will not help: the database is damaged, sealed with another key, not ours to write, or of a newer version."""


class Moved(Exception):
    """A revision cannot follow the one it was made from: another was committed meanwhile, or one is `pending`."""

    def __init__(self, head: RevisionHead | None, *, pending: bool = False) -> None:
        super().__init__("an apply is under way" if pending else "another revision is in force")
        self.head = head
        self.pending = pending
