"""Session: one client. Plain commands go over shared connections; what needs a connection of its own gets one."""

from collections import deque
from collections.abc import Sequence
from typing import cast

from marchproxy.modules.dblb.redis.client import Client
from marchproxy.modules.dblb.redis.link import NOBODY, Link
from marchproxy.modules.dblb.redis.local import Identity
from marchproxy.modules.dblb.redis.pin import Pin, asked, forbidden, replaced
from marchproxy.modules.dblb.redis.pool import Pool
from marchproxy.modules.dblb.redis.reception import Reception
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.commands import Kind, kind_of, may_block
from marchproxy.wire.redis.requests import Request, Requests
from marchproxy.wire.redis.values import encode, error, words_of

_PING = encode([b"PING"])
_NOAUTH = error("NOAUTH Authentication required.")
_PLAIN = frozenset((Kind.WRITE, Kind.READ))


class Session(Client):
    """`longest`: bytes of a command that may share a connection; `unsent`: bytes of replies that may wait for it."""

    def __init__(self, reception: Reception, identity: Identity, *, longest: int, unsent: int) -> None:
        super().__init__()
        self.identity = identity
        self.wrote_at = 0.0
        self.pin = Pin()
        """Why it has a connection of its own."""
        self._reception = reception
        self._requests = Requests(longest=longest)
        self._unsent = unsent
        self._pending: deque[tuple[bytes, Sequence[Request]]] = deque()
        self._owed = 0
        self._shared: Link | None = None
        self._on_replica = False
        self._own: Link | None = None
        self._pool: Pool | None = None  # of its own connection, or of the one it waits for
        self._waits = self._gone = False

    # what the loop calls

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        try:
            data, requests = self._requests.feed(data)
            if requests:
                self._pending.append((data, requests))
                if len(self._pending) == 1:
                    self._process()
        except ProtocolFault as fault:
            self.end(f"ERR Protocol error: {fault}")

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last."""
        self._gone = True
        self._pending.clear()
        if self._pool is not None and self._waits:
            self._pool.give_up(self)
        own, self._own = self._own, None
        if own is not None and self._pool is not None:
            self._pool.discard(own)  # whatever it was in the middle of ends with it
        self._reception.left(self)

    def pause_writing(self) -> None:
        """The client is slow."""
        super().pause_writing()
        if self._own is not None:
            self._own.transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if self._own is not None:
            self._own.transport.resume_reading()

    # what links and pools call

    def answered(self, data: bytes, replies: int) -> None:
        """See Asker."""
        if not self._gone:
            self.transport.write(data)
            if self._full and self._own is None and self.transport.get_write_buffer_size() > self._unsent:
                self.transport.abort()  # others wait behind it on the same connection
        self._owed -= replies
        if not self._owed:
            self._drained()

    def relayed(self, data: bytes) -> None:
        """See Asker."""
        self.transport.write(data)

    def link_lost(self, link: Link, *, owed: int, cut: bool) -> None:
        """See Asker."""
        state = link is self._own and self.pin.held
        if link is self._own:
            self._own = None
            if not state:
                self.pin = Pin()
        if self._shared is link:
            self._shared = None
        self._owed -= owed
        if self._gone:
            return
        if cut or state:
            self.transport.close()  # neither the rest of the answer nor the transaction can be had elsewhere
            return
        self.transport.write(
            error("ERR the connection to the server was lost; what it did is unknown") * owed
        )
        if not self._owed:
            self._drained()

    def got(self, link: Link | None) -> None:
        """See Waiter."""
        self._waits = False
        self._own = link
        if link is not None and self._full:
            link.transport.pause_reading()
        self._process()

    def got_none(self, reason: str) -> None:
        """See Waiter: what was asked fails, and the client may ask again."""
        self._waits = False
        pending, self._pending = self._pending, deque()
        for _, requests in pending:
            if not all(whole for *_, whole in requests):
                self.end(f"ERR {reason}")
                return
            self.transport.write(error(f"ERR {reason}") * len(requests))
        self._read()

    def _busy(self) -> bool:
        return bool(self._pending)

    def _drained(self) -> None:
        if self._own is not None and not self.pin.held:
            self._let_go()
        if self._pending and not self._waits:
            self._process()

    def _let_go(self) -> None:
        own, self._own, self.pin = self._own, None, Pin()
        if own is not None and self._pool is not None:
            own.transport.resume_reading()
            self._pool.release(own)

    def _process(self) -> None:
        while self._pending and not self.transport.is_closing():
            data, requests = self._pending[0]
            at = self._run(data, requests)
            if at < len(requests):
                self._pending[0] = (data, requests[at:])
                break
            self._pending.popleft()
        self._read()

    def _run(self, data: bytes, requests: Sequence[Request]) -> int:
        """Send what can be sent, what is plain in one piece; how many commands were dealt with."""
        link: Link | None = None
        begin = end = count = 0
        simple = self.identity.user is not None and self._reception.gate is None
        for at, request in enumerate(requests):
            name, start, stop, whole = request
            kind = kind_of(name)
            if simple and kind in _PLAIN and whole and name and self._own is None and not may_block(name):
                one = self._plain(read=kind is Kind.READ)
                if one is not link or one is None:
                    self._send(link, data[begin:end], count)
                    if one is None:
                        return at
                    link, begin, count = one, start, 0
                end, count = stop, count + 1
                self._owed += 1
                continue
            self._send(link, data[begin:end], count)
            link, count = None, 0
            if not self._special(data, request):
                return at
        self._send(link, data[begin:end], count)
        return len(requests)

    def _send(self, link: Link | None, data: bytes, count: int) -> None:
        if link is not None:
            link.send(self, data, count)
            if link.congested:
                self._stalled = True
                link.stalled.add(self)

    def _plain(self, *, read: bool) -> Link | None:
        """A shared link for the next command; None: it must wait. The order of replies holds since it has one at a time."""
        if not read:
            self._reception.wrote(self)
        replica = read and self._reception.reads_replica(self)
        current = self._shared
        if current is not None and not current.lost:
            if replica == self._on_replica or (self._owed and not self._on_replica):
                return current
            if self._owed:
                return current if read else None
        pool = self._reception.pool(self, replica=replica)
        self._shared, self._on_replica = pool.share(self), replica
        if self._shared is None:
            self._pool, self._waits = pool, True
        return self._shared

    def _special(self, data: bytes, request: Request) -> bool:
        """Whether it was dealt with; otherwise it has to wait."""
        name, start, stop, whole = request
        if self.pin.relay or not name:
            self._forward(data, request)
            return True
        if self.identity.user is None and not whole:
            raise ProtocolFault("unauthenticated bulk length")
        refused = self._reception.gate(self, name) if self._reception.gate is not None else ""
        named = kind_of(name)
        words = words_of(data[start:stop]) if whole and (named is Kind.SESSION or may_block(name)) else []
        kind = Kind.OPERATOR if refused else asked(name, words, whole=whole)
        if self._own is not None:
            return self._on_own(data, request, kind)
        if self.identity.user is None or kind in (Kind.SESSION, Kind.OPERATOR):
            return self._answer(request, kind, words, refused) or self._shared_one(data, request, kind)
        if kind in _PLAIN and whole:
            return self._shared_one(data, request, kind)
        return self._take(data, request, kind)

    def _answer(self, request: Request, kind: Kind, words: Sequence[bytes], refused: str) -> bool:
        """Answer it here. False: nobody here knows the answer, or it is not its turn yet."""
        if self._owed:
            return False
        if kind is not Kind.SESSION:
            unknown = self.identity.user is None
            self.transport.write(_NOAUTH if unknown else error(refused or forbidden(request[0])))
            return True
        answer = self._reception.local(self, words)
        if answer is None:
            return False
        self._shared = None  # who it is, or which database it means, may have changed
        self.transport.write(answer)
        if request[0] == b"QUIT":
            self.transport.close()
        return True

    def _shared_one(self, data: bytes, request: Request, kind: Kind) -> bool:
        if self.identity.user is None or kind is Kind.OPERATOR or (kind is Kind.SESSION and self._owed):
            return False
        link = self._plain(read=kind is Kind.READ)
        if link is None:
            return False
        self._owed += 1
        self._send(link, data[request[1] : request[2]], 1)
        return True

    def _take(self, data: bytes, request: Request, kind: Kind) -> bool:
        if self._owed:
            return False
        pool = self._reception.pool(self, replica=False)
        self._pool, self._own = pool, pool.take(self)
        self._waits = self._own is None
        return self._own is not None and self._on_own(data, request, kind)

    def _on_own(self, data: bytes, request: Request, kind: Kind) -> bool:
        name, start, *_ = request
        pin = self.pin
        if kind is Kind.STREAM or name == b"SELECT":
            if self._owed:
                return False
            pin.relay = True
            cast("Link", self._own).relay(self)
        elif kind is Kind.SESSION and not pin.transaction:
            return False  # it is about to be given back
        pin.note(name, kind, bare=data.startswith(b"*1\r\n", start))
        self._reception.wrote(self)
        self._forward(data, request)
        return True

    def _forward(self, data: bytes, request: Request) -> None:
        name, start, stop, whole = request
        own, pin = cast("Link", self._own), self.pin
        if own.lost:
            self.transport.close()  # while nothing was owed; what it had begun is gone
            return
        words = data[start:stop]
        if name and (instead := replaced(name)) is not None:
            if not whole:
                raise ProtocolFault("a command that is refused, and too long")
            words = instead
        if pin.relay:
            own.send(self, words, 0)
            return
        if name in (b"WAIT", b"WAITAOF") and not pin.multi:
            # the server waits for what this connection wrote; any command makes that what everyone has written
            own.send(NOBODY, _PING, 1)
        if name:
            self._owed += 1
        pin.parts = not whole
        own.send(self, words, 1 if whole else 0)
