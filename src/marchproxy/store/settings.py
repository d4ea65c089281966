"""Settings of a store."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the database is, and its bounds.

    `url` is `sqlite:///path/of/a/file` (three slashes and a path, which is absolute with a fourth) or
    `postgresql://user@host:port/name`, with libpq's options (`?sslmode=verify-full&sslrootcert=…`).
    """

    url: str
    password: str = field(default="", repr=False)
    """PostgreSQL's; none: as in the URL, or as PGPASSFILE has it."""
    seconds: float = 10.0
    """What one call may take."""
    connections: int = 4
    """That are open at the same time, besides those that hold locks and listen."""
    keep_days: float = 90.0
    """How long audit and events are kept."""
    keep_rows: int = 1_000_000
    """How many of each are kept."""

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL."""
        scheme, _, path = self.url.partition(":///")
        return Path(path) if scheme == "sqlite" else None
