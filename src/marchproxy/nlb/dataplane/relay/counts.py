"""Counts: what a listener and its instances carry. The only mutable numbers of the relay."""

from marchproxy.nlb.dataplane.plane import ConnectionCounts


class Tally:
    """Connections of one listener, or of one instance behind it. Bytes are those of connections that are over."""

    __slots__ = ("active", "denied", "failed", "received", "sent", "total")

    def __init__(self) -> None:
        self.active = 0
        self.total = 0
        self.failed = 0
        self.denied = 0
        self.received = 0
        self.sent = 0

    def counts(self) -> ConnectionCounts:
        """The numbers now."""
        return ConnectionCounts(self.active, self.total, self.failed, self.denied, self.received, self.sent)
