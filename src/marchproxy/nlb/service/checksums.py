"""Checksums: what tells one configuration from another, as every part of the system reports it."""

from marchproxy.contract.document import checksum, encode
from marchproxy.model.state import DesiredState


class Checksums:
    """Remembers the last one: of ten thousand routes it takes a fifth of a second."""

    def __init__(self) -> None:
        self._last = (DesiredState(), "")

    def of(self, desired: DesiredState) -> str:
        """That of the document; empty for an empty state, which is no configuration."""
        if desired is not self._last[0]:
            self._last = (desired, checksum(encode(desired)) if desired != DesiredState() else "")
        return self._last[1]
