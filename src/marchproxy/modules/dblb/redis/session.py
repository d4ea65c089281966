"""Session: one client. Plain commands go over shared connections; what needs a connection of its own gets one."""

import asyncio
from collections.abc import Sequence

from marchproxy.modules.dblb.redis.judging import read_of, refused
from marchproxy.modules.dblb.redis.link import Link
from marchproxy.modules.dblb.redis.local import Identity
from marchproxy.modules.dblb.redis.pin import asked, forbidden
from marchproxy.modules.dblb.redis.reception import Reception, Visit
from marchproxy.modules.dblb.redis.sharing import Sharing
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.commands import APART, Kind, kind_of, may_block
from marchproxy.wire.redis.ordinary import count_commands
from marchproxy.wire.redis.requests import Request, Requests
from marchproxy.wire.redis.values import error, words_of

_NOAUTH = error("NOAUTH Authentication required.")
_NO_ROUTE = error("NOPERM no route takes this user to this database")
_PLAIN = frozenset((Kind.WRITE, Kind.READ))


class Session(Sharing):
    """`longest`: bytes of a command that may share a connection; see Sharing."""

    def __init__(self, reception: Reception, identity: Identity, *, longest: int, unsent: int) -> None:
        super().__init__(reception, identity, unsent=unsent)
        self._requests = Requests(longest=longest)
        self._judged: tuple[Request | None, str] = (None, "")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once."""
        super().connection_made(transport)
        self._reception.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Called for every read."""
        if self._at_once(data):
            return
        try:
            data, requests = self._requests.feed(data)
        except ProtocolFault as fault:
            self.end(f"ERR Protocol error: {fault}")
            return
        if requests:
            self._pending.append((data, requests))
            if len(self._pending) == 1:
                self._process()

    def _at_once(self, data: bytes) -> bool:
        """Whether it was nothing but ordinary commands, which are sent on as they are over the link that it shares."""
        link, visit = self._shared, self.visit
        if link is None or visit is None or self._pending or self.held or self._on_replica:
            return False
        if link.lost or link.stale or not visit.plain or self.own.link is not None:
            return False
        if not self._requests.between or not (count := count_commands(data)) or self.transport.is_closing():
            return False
        self._wrote = True
        self._owed += count
        self._send(link, data, count)
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """Called once, last."""
        self._gone = True
        self._pending.clear()
        if self._waits and self.own.pool is not None:
            self.own.pool.give_up(self)
        self.own.drop()
        self._reception.left(self)

    def _process(self) -> None:
        try:
            while self._pending and not self.transport.is_closing():
                if self.held and self.own.link is None:
                    self._wait_for_servers()
                    break
                data, requests = self._pending[0]
                visit = self.visit
                at = self._run(data, requests)
                if at == len(requests):
                    self._pending.popleft()
                    continue
                self._pending[0] = (data, requests[at:])
                if self.visit is visit:
                    break
        except ProtocolFault as fault:
            self.end(f"ERR Protocol error: {fault}")
        self._read()

    def _run(self, data: bytes, requests: Sequence[Request]) -> int:
        """Send what can be sent, what is plain in one piece; how many commands were dealt with."""
        visit = self.visit
        simple = visit is not None and not (visit.permit.looks or visit.only_reads or visit.own)
        if not simple or self.own.link is not None:
            return self._run_apart(data, requests, 0, simple=False)
        if visit is not None and visit.splits:
            return self._run_apart(data, requests, 0, simple=True)
        count = 0
        for name, _, _, whole in requests:
            if name in APART or not whole:
                break
            count += 1
        if count:
            link = self._plain(read=False)
            if link is None:
                return 0
            self._owed += count
            self._send(link, data[requests[0][1] : requests[count - 1][2]], count)
        return count if count == len(requests) else self._run_apart(data, requests, count, simple=True)

    def _run_apart(self, data: bytes, requests: Sequence[Request], first: int, *, simple: bool) -> int:
        """The same from a command on, one by one; `simple`: what is plain needs no question asked."""
        link: Link | None = None
        begin = end = count = 0
        visit = self.visit
        for at in range(first, len(requests)):
            name, start, stop, whole = requests[at]
            if simple and whole and name not in APART and self.own.link is None:
                one = self._plain(read=kind_of(name) is Kind.READ)
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
            if not self._special(data, requests[at]):
                return at
            if self.visit is not visit:
                return at + 1  # the rest is for other servers, and other rules
        self._send(link, data[begin:end], count)
        return len(requests)

    def _special(self, data: bytes, request: Request) -> bool:
        """Whether it was dealt with; otherwise it has to wait."""
        name, start, stop, whole = request
        own, visit = self.own, self.visit
        if not name:
            return self._forward(data, request)
        if self.identity.user is None and not whole:
            raise ProtocolFault("unauthenticated bulk length")
        named = kind_of(name)
        words = words_of(data[start:stop]) if whole and (named is Kind.SESSION or may_block(name)) else []
        kind = asked(name, words, whole=whole)
        if visit is not None and self._judged[0] is not request:
            self._judged = (request, refused(visit, data, request, kind))
        told = self._judged[1] if self._judged[0] is request else ""
        if own.link is not None and not (own.pin.only_session and kind in (Kind.SESSION, Kind.OPERATOR)):
            return self._on_own(data, request, kind, told)
        if told or visit is None or kind in (Kind.SESSION, Kind.OPERATOR):
            if self._owed:
                return False
            return self._answer(request, kind, words, told) or self._shared_one(data, request, kind)
        if kind in _PLAIN and whole and not visit.own:
            return self._shared_one(data, request, kind)
        return self._take(data, request, kind, visit)

    def _answer(self, request: Request, kind: Kind, words: Sequence[bytes], told: str) -> bool:
        """Answer it here. False: nobody here knows the answer."""
        if told or kind is not Kind.SESSION:
            self.transport.write(self._refusal(request[0], told))
            return True
        if self.own.link is not None:
            self.own.let_go()  # who it is, or which database it means, may change
        answer = self._reception.local(self, words)
        if answer is None and self.visit is not None:
            return False
        self._shared = None
        if answer != b"":  # it was told otherwise, and let go
            self.transport.write(_NO_ROUTE if answer is None else answer)
        if request[0] == b"QUIT":
            self.transport.close()
        return True

    def _refusal(self, name: bytes, told: str) -> bytes:
        self.erred(1)
        if told:
            return error(told)
        if self.identity.user is None:
            return _NOAUTH
        return error(forbidden(name)) if self.visit is not None else _NO_ROUTE

    def _shared_one(self, data: bytes, request: Request, kind: Kind) -> bool:
        only_reads = self.visit is not None and self.visit.only_reads
        link = self._plain(read=read_of(request[0], kind) if only_reads else kind is Kind.READ)
        if link is None:
            return False
        self._owed += 1
        self._send(link, data[request[1] : request[2]], 1)
        return True

    def _take(self, data: bytes, request: Request, kind: Kind, visit: Visit) -> bool:
        if self._owed:
            return False
        pool = self._reception.pool(self, replica=visit.only_reads)
        if pool is None:
            self._wait_for_servers()
            return False
        if self.own.take(pool, session=visit.own):
            return self._on_own(data, request, kind, "")
        self._wait()
        return False

    def _on_own(self, data: bytes, request: Request, kind: Kind, told: str) -> bool:
        name, start, *_ = request
        pin = self.own.pin
        if pin.relay and told:
            raise ProtocolFault(told)  # there is no saying it in its turn
        if not pin.relay and self.own.must_wait(kind, name, owed=self._owed):
            return False
        if self.visit is not None:
            if not pin.reason and kind not in _PLAIN:
                self.visit.tally.pins[name.decode(errors="replace")] += 1
            self.visit.tally.transactions += name == b"EXEC"
        pin.note(name, kind, bare=data.startswith(b"*1\r\n", start))
        self._wrote = True
        return self._forward(data, request, told)

    def _forward(self, data: bytes, request: Request, told: str = "") -> bool:
        owed = self.own.send(data, request, told)
        if owed < 0:
            self.transport.close()  # while nothing was owed; what it had begun is gone
            return True
        if owed:
            self._count(1)
            self._owed += owed
        self._heed(self.own.link)
        return True
