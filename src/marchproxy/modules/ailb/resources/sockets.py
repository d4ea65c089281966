"""Sockets: where Envoy and our own processes meet. All are Unix sockets in the folder of the instance."""

from dataclasses import dataclass
from pathlib import Path

from marchproxy.modules.ailb import asking

#: The longest name of one.
LONGEST = asking.REPORTS_SOCKET


@dataclass(frozen=True, slots=True)
class Sockets:
    """`folder`: of the instance; `relays`: how many there are."""

    folder: Path
    relays: int = 1

    @property
    def decide(self) -> Path:
        """HTTP/1.1: Envoy asks what becomes of a request."""
        return self.folder / asking.DECIDE_SOCKET

    @property
    def own(self) -> Path:
        """HTTP/1.1: Envoy fetches what is answered by us."""
        return self.folder / asking.OWN_SOCKET

    @property
    def reports(self) -> Path:
        """gRPC: Envoy tells how requests ended."""
        return self.folder / asking.REPORTS_SOCKET

    @property
    def ended(self) -> Path:
        """JSON in lines: relays tell how requests ended."""
        return self.folder / asking.ENDED_SOCKET

    @property
    def written(self) -> Path:
        """A file: the ends of requests as Envoy writes them down, for a decider that takes over from one that died."""
        return self.folder / "ends.log"

    @property
    def egress(self) -> Path:
        """HTTP/1.1: Envoy listens, and relays reach pools through it."""
        return self.folder / "egress.sock"

    def relay(self, number: int) -> Path:
        """HTTP/2: a relay listens."""
        return self.folder / f"relay-{number}.sock"
