"""Arrival: a connection until somebody has it: who the client is, and what it sends before there is a target."""

from abc import ABC, abstractmethod

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.messages import Event, Introduced, Judged, Outcome, TurnedAway
from marchproxy.nlb.dataplane.relay.session import Phase
from marchproxy.nlb.dataplane.relay.side import Side
from marchproxy.nlb.dataplane.relay.switch import Switch
from marchproxy.wire.detect import detect
from marchproxy.wire.proxy_protocol import MalformedHeader, parse

_log = get_logger(__name__)


class Arrival(ABC):
    """The sink of its client's side until there is a target. As a `Link` it goes on."""

    __slots__ = ("_early", "_limits", "_local", "_peer", "_session", "_source", "_switch", "client")

    client: Side

    def __init__(self, switch: Switch, limits: RelayLimits) -> None:
        self._switch = switch
        self._limits = limits
        self._session = switch.beginning[0]
        self._early: list[bytes] = []
        self._peer = HostPort("", 0)
        self._source = ""
        self._local: HostPort | None = None

    @abstractmethod
    def happened(self, event: Event) -> None:
        """Let the session decide and carry it out."""

    def write(self, data: bytes, /) -> None:
        """Keep what the client sends; look at all of it as long as it is to tell something."""
        self._early.append(data)
        phase = self._session.phase
        if phase is Phase.INTRODUCING:
            self._introduce()
        elif phase is Phase.DETECTING:
            self._detect()
        if self.client.moved > self._limits.high_water and self.client.transport:
            self.client.transport.pause_reading()  # until it is joined

    def is_closing(self) -> bool:
        """No: there is always room for one more read."""
        return False

    def _arrive(self, *, full: bool) -> bool:
        """Whether the client may have a connection at all; one that may not is closed."""
        client = self.client
        peer = client.transport.get_extra_info("peername") if client.transport else None
        if peer is None or full or not self._switch.arrive(peer[0]):
            # without a peer: gone between the handshake and now
            self._switch.first.closed(Outcome.DENIED if peer else Outcome.CLIENT_GONE)
            client.forget()
            client.close(flush=False)
            return False
        self._peer = HostPort(peer[0], peer[1])
        return True

    def _may_enter(self) -> bool:
        """Whether the client may come; one that may not is closed."""
        source = self._switch.enter(self._peer.host)
        if source is None:
            self.happened(TurnedAway(Outcome.DENIED))
            return False
        self._source = source
        return True

    def _introduce(self) -> None:
        data = b"".join(self._early)
        try:
            header = parse(data)
        except MalformedHeader as error:
            _log.debug("PROXY protocol header refused", peer=str(self._peer), reason=str(error))
            self.happened(TurnedAway(Outcome.MALFORMED))
            return
        self._early = [data]
        if header is None:
            return
        self.client.moved -= header.size
        self._early = [data[header.size :]] if len(data) > header.size else []
        if header.source and header.destination:
            self._peer = HostPort(header.source.host, header.source.port)
            self._local = HostPort(header.destination.host, header.destination.port)
        if not self._may_enter():
            return
        self.happened(Introduced())
        if self._early and self._session.phase is Phase.DETECTING:
            self._detect()

    def _detect(self) -> None:
        if len(self._early) > 1:
            self._early = [b"".join(self._early)]  # one read, the usual case, is not copied
        limit = self._limits.detection_bytes
        self.happened(Judged(detect(self._early[0], self._session.opening.enabled, limit=limit)))

    def _destination(self) -> HostPort:
        if self._local is None:
            name = self.client.transport.get_extra_info("sockname") if self.client.transport else ("", 0)
            self._local = HostPort(name[0], name[1])
        return self._local
