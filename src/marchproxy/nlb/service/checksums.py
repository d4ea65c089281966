"""Checksums: what tells one configuration from another, as every part of the system reports it."""

from marchproxy.contract.document import Encoder, checksum
from marchproxy.model.state import DesiredState


class Checksums:
    """Remembers the last one, and how its items are written: ten thousand routes take most of a second."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._last = (DesiredState(), "")

    def of(self, desired: DesiredState) -> str:
        """That of the document; empty for an empty state, which is no configuration."""
        if desired is not self._last[0]:
            self._last = (
                desired,
                checksum(self._encoder.encode(desired)) if desired != DesiredState() else "",
            )
        return self._last[1]
