"""The section `access_log`: where lines go, of which requests, and what is in them. Each engine knows fields of its own."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from marchproxy.kit.settings import Seconds, Section


class AlwaysLogged(Section):
    """Requests that are logged whatever is drawn."""

    status_from: Annotated[int, Field(ge=100, le=599)] | None = None
    """Answers with this status or a higher one."""
    slower_than: Annotated[Seconds, Field(gt=0)] | None = None
    """Requests that took so long or longer."""


class AccessLogSection(Section):
    """A line of JSON for each request, when it ends."""

    path: Path = Path("access.log")
    """The file; a relative path is in the instance's state folder, `stdout` is the process's own output."""
    sample_percent: Annotated[float, Field(ge=0, le=100)] = 100.0
    """Of how many requests, drawn at random."""
    always: AlwaysLogged = AlwaysLogged()
    """Which are logged besides."""
    max_megabytes: Annotated[int, Field(ge=0, le=1_000_000)] = 64
    """A larger file is put aside as `.1`, the one before as `.2`, and so on; 0: it only grows."""
    keep: Annotated[int, Field(ge=1, le=100)] = 4
    """How many that were put aside are kept."""
