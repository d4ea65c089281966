"""Sharing: a client's commands over shared connections, and the answers to it, in order."""

from collections import deque
from collections.abc import Sequence

from marchproxy.modules.dblb.redis.client import Client
from marchproxy.modules.dblb.redis.link import Link
from marchproxy.modules.dblb.redis.local import Identity
from marchproxy.modules.dblb.redis.own import Own
from marchproxy.modules.dblb.redis.reception import Reception, Visit
from marchproxy.wire.redis.requests import Request
from marchproxy.wire.redis.values import error


class Sharing(Client):
    """`unsent`: bytes of replies that may wait for the client."""

    def __init__(self, reception: Reception, identity: Identity, *, unsent: int) -> None:
        super().__init__()
        self.identity = identity
        self.visit: Visit | None = None
        self.own = Own(self)
        self.wrote_at = float("-inf")
        """Before that moment everything that it wrote was answered."""
        self.held = False
        """Whether its servers are paused."""
        self.draining = False
        self._reception = reception
        self._unsent = unsent
        self._pending: deque[tuple[bytes, Sequence[Request]]] = deque()
        self._owed = 0
        self._began = 0.0
        self.waits_since = 0.0
        """0: nothing of it waits for a server."""
        self._shared: Link | None = None
        self._on_replica = self._wrote = self._moved = self._waits = self._gone = False

    @property
    def busy(self) -> bool:
        """Whether it uses a connection to a server, not counting one that only listens."""
        return self._owed > 0 or (self.own.link is not None and not self.own.pin.relay)

    @property
    def idle(self) -> bool:
        """Whether it can be closed without interrupting anything."""
        return not (self._owed or self._pending or self.own.link is not None)

    def move(self) -> None:
        """What it shares belongs to another pool from now on."""
        self._moved = True
        if not self._owed:
            self._leave_old()

    def pause_writing(self) -> None:
        """The client is slow."""
        super().pause_writing()
        if self.own.link is not None:
            self.own.link.transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if self.own.link is not None:
            self.own.link.transport.resume_reading()

    def answered(self, data: bytes, replies: int) -> None:
        """See Asker."""
        if not self._gone:
            self.transport.write(data)
            if self._full and self.own.link is None and self.transport.get_write_buffer_size() > self._unsent:
                self.transport.abort()  # others wait behind it on the same connection
        self._owed -= replies
        if not self._owed:
            self._drained()

    def erred(self, replies: int) -> None:
        """See Asker."""
        if self.visit is not None:
            self.visit.tally.errors += replies

    def relayed(self, data: bytes) -> None:
        """See Asker."""
        self.transport.write(data)

    def link_lost(self, link: Link, *, owed: int, cut: bool) -> None:
        """See Asker."""
        state = link is self.own.link and self.own.lost()
        if self._shared is link:
            self._shared = None
        self._owed -= owed
        if self._gone:
            return
        if cut or state:
            self.transport.close()  # neither the rest of the answer nor the transaction can be had elsewhere
            return
        self.erred(owed)
        if self.visit is not None:
            self.visit.tally.unserved += owed
        self.transport.write(
            error("ERR the connection to the server was lost; what it did is unknown") * owed
        )
        if not self._owed:
            self._drained()

    def got(self, link: Link | None) -> None:
        """See Waiter."""
        self._waits = False
        self.own.link = link
        if link is not None and self.held:
            self.own.let_go()
        elif link is not None and self._full:
            link.transport.pause_reading()
        self._process()

    def got_none(self, reason: str) -> None:
        """See Waiter: what was asked fails, and the client may ask again."""
        self._waits, self.waits_since = False, 0.0
        pending, self._pending = self._pending, deque()
        for _, requests in pending:
            if not all(whole for *_, whole in requests):
                self.end(f"ERR {reason}")
                return
            if self.visit is not None:
                self.visit.tally.unanswered(len(requests))
            self.transport.write(error(f"ERR {reason}") * len(requests))
        self._read()

    def _busy(self) -> bool:
        return bool(self._pending)

    def _drained(self) -> None:
        visit = self.visit
        if visit is not None and self._began:
            visit.tally.query_seconds.add(self._reception.now() - self._began)
            self._began = 0.0
        if self._moved:
            self._leave_old()
        if self.own.link is not None and not self.own.pin.held:
            self.own.let_go()
        if self._pending and not self._waits:
            self._process()
        if self.draining and self.idle:
            self.end()

    def _leave_old(self) -> None:
        self._moved, self._shared = False, None
        if self.own.pin.only_session:
            self.own.let_go()

    def _wait_for_servers(self) -> None:
        if not self._owed and not self._waits:
            self._wait()
            self._reception.wait(self)

    def _wait(self) -> None:
        self._waits = True
        self.waits_since = self.waits_since or self._reception.now()

    def _send(self, link: Link | None, data: bytes, count: int) -> None:
        if link is None or self.visit is None:
            return
        self._count(count)
        if link.replica:
            self.visit.tally.to_replicas += count
        link.send(self, data, count)
        self._heed(link)

    def _heed(self, link: Link | None) -> None:
        """The client is not read from while the server is behind with reading."""
        if link is not None and link.congested:
            self._stalled = True
            link.stalled.add(self)
            self._read()

    def _count(self, commands: int) -> None:
        visit = self.visit
        if visit is None:
            return
        visit.tally.queries += commands
        if not self._began:
            self._began = self._reception.now()
            if self.waits_since:
                visit.tally.wait_seconds.add(self._began - self.waits_since)
                self.waits_since = 0.0

    def _plain(self, *, read: bool) -> Link | None:
        """A shared link for the next command; None: it must wait. The order of replies holds since it has one at a time."""
        current, visit = self._shared, self.visit
        if visit is None:
            return None
        splits = visit.splits
        if current is not None and not current.lost:
            if current.stale or (self._on_replica and not read):
                if self._owed:
                    return None  # a write comes after the answers to the reads before it
            elif self._on_replica or not read or not splits or self._owed:
                self._wrote = self._wrote or not read
                return current
        if read and splits and self._wrote:
            self._wrote, self.wrote_at = False, self._reception.now()
        self._wrote = self._wrote or not read
        return self._share(read=read and splits)

    def _share(self, *, read: bool) -> Link | None:
        pool = self._reception.pool(self, replica=True) if read else None
        self._on_replica = pool is not None
        if pool is None and not (read and self.visit is not None and self.visit.only_reads):
            pool = self._reception.pool(self, replica=False)
        if pool is None:
            self._wait_for_servers()
            return None
        self._shared = pool.share(self)
        if self._shared is None:
            self.own.pool = pool
            self._wait()
        else:
            self._shared.replica = self._on_replica
        return self._shared

    def _process(self) -> None:
        """Go on with what waits."""
        raise NotImplementedError
