"""What a look for endpoints can bring: some, or the reason why there are none."""

from dataclasses import dataclass

from marchproxy.modules.http.resources.endpoints import Target


@dataclass(frozen=True, slots=True)
class Found:
    """The endpoints at the last look that brought any, and what was wrong with the last one; empty: nothing."""

    targets: tuple[Target, ...] = ()
    trouble: str = ""


class NothingFound(Exception):
    """A look that brought nothing; what was found before stays."""
