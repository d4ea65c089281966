"""Limits of one relay listener. Every wait and every buffer of a connection has its bound here."""

from dataclasses import dataclass

from marchproxy.wire.detect import DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Times in seconds, sizes in bytes. The defaults suit a public port.

    `max_connections`: more are closed as they come, and counted. `detection_bytes` and `detection_seconds`: a client
    that has not shown its protocol within both is closed, unless a listener takes what is not recognised.
    `silence_seconds`: after so long without a byte the client waits for the server to speak first, which means MySQL
    where that is enabled; longer makes MySQL slow to connect, shorter mistakes clients on slow links.
    `connect_seconds`: for each of at most `connect_attempts` targets. `linger_seconds`: for what is still to be
    written to a side after the other has closed. `high_water` and `low_water`: a side stops reading while more than
    the one waits to be written to the other, until the other.
    """

    max_connections: int = 30_000
    detection_bytes: int = DEFAULT_LIMIT
    detection_seconds: float = 5.0
    silence_seconds: float = 0.3
    connect_seconds: float = 1.0
    connect_attempts: int = 3
    linger_seconds: float = 30.0
    high_water: int = 256 * 1024
    low_water: int = 64 * 1024
    backlog: int = 4096
