"""Contents: files as they travel to workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Base64Bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """Files by path: what they hold, or why they could not be read."""

    held: Mapping[str, Base64Bytes] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> Mapping[str, bytes | str]:
        """All of them; a text says why one could not be read."""
        return {**self.held, **self.faults}


def contents_of(files: Mapping[str, bytes | str]) -> Contents:
    """Files as they travel."""
    held = {path: content for path, content in files.items() if isinstance(content, bytes)}
    return Contents(held, {path: why for path, why in files.items() if isinstance(why, str)})
