"""What operations are about, and what came of them."""

from dataclasses import dataclass

from marchproxy.model.revision import RevisionHead


class NotDone(Exception):
    """An operation that is not possible as things are: the message says by whom it was refused and why, and what to do.

    `found`: what it is about exists, and it could be done at another time; False: there is no such thing.
    """

    def __init__(self, message: str, *, found: bool = True) -> None:
        self.found = found
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Target:
    """Whose versions are meant: those of backend pools on a route, or of modules behind a listener."""

    on: str
    """ "route" or "listener"."""
    name: str

    def __str__(self) -> str:
        return f'{self.on} "{self.name}"'


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an operation. `revision`: the one that it made; None: it made none."""

    message: str
    revision: RevisionHead | None = None
    by: tuple[tuple[str, str], ...] = ()
    """What each part answered, by name."""
