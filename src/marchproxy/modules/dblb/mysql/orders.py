"""Orders: which of a client's commands are answered here, or elsewhere than on its own server connection."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.mysql.aside import Aside
from marchproxy.modules.dblb.mysql.catalogue import (
    Catalogue,
    Statement,
    execute_for,
    has_cursor,
    number_of,
    take_types,
)
from marchproxy.modules.dblb.mysql.guarded import guarded
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.modules.dblb.mysql.kill import read_kill
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.memory import Memory
from marchproxy.modules.dblb.mysql.moving import tell
from marchproxy.modules.dblb.mysql.reading import Reading
from marchproxy.modules.dblb.mysql.visit import Visit, refusal_of
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql import endings
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.numbers import Command
from marchproxy.wire.mysql.packets import HEAD, packet
from marchproxy.wire.mysql.requests import Request

if TYPE_CHECKING:
    from marchproxy.modules.dblb.mysql.session import Session

_log = get_logger(__name__)
#: Commands that are always looked at.
OURS = frozenset(
    {Command.QUIT, Command.QUERY, Command.PING, Command.CHANGE_USER, Command.PROCESS_KILL, Command.RESET_CONNECTION,
     Command.INIT_DB}
)  # fmt: skip
_QUERY, _EXECUTE, _TEXT = int(Command.QUERY), int(Command.STMT_EXECUTE), HEAD + 1
#: How a text begins that may be a KILL.
_PERHAPS_KILL = frozenset(b"kK \t\r\n\f\v")
_TOO_LONG = Refusal(1153, "08S01", "the statement is longer than statements may be here")
_READ_ONLY = Refusal(1290, "HY000", "this session is on a replica, which takes no writes")
_UNREAD = Reading(obstacle="nobody read it", binds="a statement that nobody read", writes=True)


class Orders:
    """Of one session."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._visit = cast("Visit", None)
        self._aside: Aside | None = None
        self._catalogue = Catalogue()
        self._telling: asyncio.Task[None] | None = None
        self.memory = Memory()
        self.looks = False
        """Whether every command must be shown to `answers`, not only OURS."""

    def begin(self, visit: Visit) -> None:
        """The client is logged in."""
        self._visit = visit
        self._catalogue, self.memory = Catalogue(), Memory()
        self._aside = Aside(self._session, self.memory, visit.reads) if visit.reads is not None else None
        self.look()

    def look(self) -> bool:
        """Whether statements must be seen whole."""
        self.looks = self._visit.guard.looks or self._visit.readings is not None
        return self.looks

    def links(self) -> Iterator[Link]:
        """The links that the session has."""
        for link in (self._session.link, self._aside.link if self._aside is not None else None):
            if link is not None:
                yield link

    def leave(self) -> None:
        """The client is gone, or becomes another."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._aside is not None:
            self._aside.leave()

    def rest(self, before: float) -> None:
        """Give up what was not used since."""
        if self._aside is not None:
            self._aside.rest(before)

    def heard(self) -> None:
        """The session's own link has answered everything."""
        if self._catalogue.answers:
            self._catalogue.heard()

    def lost(self) -> None:
        """The session's own link is given up."""
        self._catalogue.clear()

    def bound(self, link: Link) -> bool:
        """Whether no other link can take the place of this one."""
        if link.flow.statements or self._visit.readings is None:
            return True
        return bool(self.memory.bound) or self.memory.next_is_bound

    def took(self, link: Link) -> None:
        """The session has a new link, which must be told what was set before; the session is occupied meanwhile."""
        link.flow.prepared = self._catalogue.answers if self.looks else None
        if self.memory.version > link.told:
            self._session.occupied = True
            work = tell(self._session, link, self.memory, self._told)
            self._telling = self._visit.around.group.create_task(guarded(work, self._session), name="tell")
        if self.memory.wrote:
            self.memory.moved = True

    def is_plain(self, data: bytes, request: Request) -> bool:
        """Whether bytes that are one command are for the session's own link for sure."""
        command, start, end, whole = request
        if self.looks or self._session.occupied or start or not whole or end != len(data):
            return False
        return command == _EXECUTE or (
            command == _QUERY and len(data) > _TEXT and data[_TEXT] not in _PERHAPS_KILL
        )

    def answers(self, data: bytes, request: Request) -> bool:
        """Whether a command is not for the session's own link, but is answered here or elsewhere."""
        session = self._session
        match request.command:
            case Command.QUIT:
                session.transport.close()
            case Command.PING if session.link is None:
                session.transport.write(endings.ok(1))
            case Command.RESET_CONNECTION:
                return self._reset()
            case Command.CHANGE_USER:
                self._change_user(data)
            case Command.PROCESS_KILL | Command.QUERY if (
                request.whole and (kill := read_kill(data[HEAD:])) is not None
            ):
                session.occupied = True
                session.reception.kill(session, kill)
            case Command.INIT_DB if request.whole:
                return self._use(data[HEAD + 1 :], data)
            case _ if self.looks:
                return self._refused(data, request) or self._elsewhere(data, request)
            case _:
                return False
        return True

    # the rest is ours

    def _reset(self) -> bool:
        self.memory.clear()
        self._catalogue.clear()
        if self._aside is not None:
            self._aside.drop()
        if self._session.link is None:
            self._session.transport.write(endings.ok(1))
        return self._session.link is None

    def _change_user(self, data: bytes) -> None:
        session = self._session
        if session.link is not None and session.link.flow.owed:
            raise ProtocolFault("a change of user came before the answers that are owed")
        session.leave()
        session.inbox = Inbox()
        session.reception.change_user(session, data[HEAD:])

    def _use(self, name: bytes, data: bytes) -> bool:
        """A change of the database, whose name on the servers may be another."""
        visit = self._visit
        if visit.plan.options.rename and name.decode(errors="replace") == visit.who.database:
            name = visit.plan.options.rename.encode()
        if visit.readings is not None:
            self.memory.note(b"USE `%s`" % name.replace(b"`", b"``"), Reading(sets=("database",)))
        words = packet(0, bytes((Command.INIT_DB,)) + name)
        if words == data:
            return False
        self._session.forward(words, Command.INIT_DB)
        return True

    def _refused(self, data: bytes, request: Request) -> bool:
        guard = self._visit.guard
        if not guard.looks:
            return False
        match request.command:
            case Command.QUERY | Command.STMT_PREPARE if not request.whole:
                self._session.end(_TOO_LONG if self._session.quiet else None, sequence=1)
                return True
            case Command.QUERY:
                denial = guard.refuses(data[HEAD + 1 :])
            case Command.STMT_PREPARE:
                denial = guard.forbids(data[HEAD + 1 :])
            case Command.STMT_EXECUTE:
                denial = guard.limits()
            case _:
                return False
        if denial is not None:
            self._session.refuse(refusal_of(denial))
        return denial is not None

    def _elsewhere(self, data: bytes, request: Request) -> bool:
        """Whether another link than the session's own is asked, or that one something else."""
        if self._visit.readings is None:
            return False
        payload = data[HEAD:]
        match request.command:
            case Command.QUERY:
                return self._query(data, payload[1:], whole=request.whole)
            case Command.STMT_PREPARE:
                self._catalogue.asked(payload[1:] if request.whole else b"")
            case Command.STMT_EXECUTE:
                return self._execute(data, payload, whole=request.whole)
            case Command.STMT_SEND_LONG_DATA | Command.STMT_FETCH:
                if (statement := self._catalogue.get(number_of(payload))) is not None:
                    statement.unclear = True
            case Command.STMT_CLOSE:
                statement = self._catalogue.closed(number_of(payload))
                if statement is not None and self._aside is not None:
                    self._aside.close_statement(statement)
            case _:
                pass
        return False

    def _query(self, data: bytes, text: bytes, *, whole: bool) -> bool:
        reading = self._reading(text) if whole else _UNREAD
        if self._aside is not None and self._may_go(reading) and self._aside.ask(data, reading.pool):
            return True
        return self._note(text, reading)

    def _execute(self, data: bytes, payload: bytes, *, whole: bool) -> bool:
        statement = self._catalogue.get(number_of(payload)) if whole else None
        if statement is None:
            return self._note(b"", _UNREAD)
        reading = self._reading(statement.text)
        if statement.unclear or not take_types(statement, payload):
            statement.unclear = True
            return self._note(statement.text, reading)
        plain = not has_cursor(payload)
        if (
            plain
            and self._aside is not None
            and self._may_go(reading)
            and self._aside.execute(data, statement)
        ):
            return True
        return self._note(statement.text, reading) or self._with_types(payload, statement)

    def _with_types(self, payload: bytes, statement: Statement) -> bool:
        words = execute_for(statement, payload, statement.own)
        if words == payload:
            return False
        self._session.forward(packet(0, words), Command.STMT_EXECUTE)
        return True

    def _reading(self, text: bytes) -> Reading:
        visit = self._visit
        assert visit.readings is not None
        return visit.readings.of(text, self._session.login.charset, hints=visit.plan.options.hints)

    def _may_go(self, reading: Reading) -> bool:
        """Whether a replica may answer, as far as the session is concerned."""
        aside, link, memory = self._aside, self._session.link, self.memory
        if reading.follows:
            return aside is not None and aside.was_last
        if reading.obstacle or memory.bound or memory.next_is_bound:
            return False
        if link is None:
            return not memory.sets_autocommit
        return not (link.flow.owed or link.flow.in_transaction)

    def _note(self, text: bytes, reading: Reading) -> bool:
        """The session's own link is asked. True: it is not, because it may not be."""
        if self._visit.replica and reading.writes:
            self._session.refuse(_READ_ONLY)
            return True
        bound = self.memory.bound
        self.memory.note(text, reading)
        if self._aside is not None:
            self._aside.was_last = False
            if not bound and self.memory.bound:
                self._visit.tally.pins[self.memory.bound.partition(":")[0]] += 1
                _log.info(
                    "no replica for this session any more",
                    reason=self.memory.bound,
                    user=self._visit.who.user,
                )
        return False

    def _told(self) -> None:
        self._telling = None
        self._session.occupied = False
