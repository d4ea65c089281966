"""Session: one client. Answers what is ours to answer, and sends everything else on, one command after the other."""

from dataclasses import replace
from functools import partial

from marchproxy.modules.dblb.gate import Refusal, RefusalKind, Shut
from marchproxy.modules.dblb.mongodb import hello
from marchproxy.modules.dblb.mongodb.client import Client
from marchproxy.modules.dblb.mongodb.door import Door
from marchproxy.modules.dblb.mongodb.errors import Fault, answer, document
from marchproxy.modules.dblb.mongodb.greeting import COMMANDS, MECHANISM, Greeting
from marchproxy.modules.dblb.mongodb.hall import Hall
from marchproxy.modules.dblb.mongodb.lookup import Lookup
from marchproxy.modules.dblb.mongodb.operation import Operation
from marchproxy.modules.dblb.mongodb.pins import Cursor
from marchproxy.modules.dblb.mongodb.preference import Mode, NotUnderstood, place_of
from marchproxy.modules.dblb.mongodb.tracking import Tracking
from marchproxy.modules.dblb.mongodb.visits import NoRoute, Visit, Visits
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import bson, message
from marchproxy.wire.mongodb.bson import Int64, ObjectId, Value
from marchproxy.wire.mongodb.command import Command, read_command, read_query
from marchproxy.wire.mongodb.framing import Code

#: Until a client has said who it is, in bytes.
_LONGEST_GREETING = 64 * 1024
_MSG, _QUERY, _COMPRESSED = map(int, (Code.MSG, Code.QUERY, Code.COMPRESSED))
_OURS = frozenset({*hello.NAMES, *COMMANDS, "killCursors", "getMore"})

Document = dict[str, Value | ObjectId]


class Session(Client):
    """Made for each connection."""

    def __init__(self, hall: Hall, door: Door) -> None:
        super().__init__(hall, hall.limits.longest if door.open() else _LONGEST_GREETING)
        self._greeting = Greeting(door)
        self._visits = Visits(hall.desk)

    def replan(self, plan: DblbPlan) -> None:
        """Serve it by another plan from now on."""
        guest = self._greeting.guest
        self._greeting.guest = replace(guest, door=replace(guest.door, plan=plan))
        self._visits.forget()

    def connection_lost(self, error: Exception | None) -> None:
        """Called once, last."""
        self._visits.forget()
        super().connection_lost(error)

    def _take(self, data: bytes) -> None:
        kind = message.code(data)
        self._compress = kind == _COMPRESSED
        if self._compress:
            if not self._hall.limits.compressors:
                raise ProtocolFault("a compressed message, though no compressor was offered")
            data = message.inflated(data, longest=self._framer.longest)
            kind = message.code(data)
        if kind == _MSG:
            command = read_command(data)
            if command.name in _OURS:
                self._command(command)
            else:
                self._send_on(command)
        elif kind == _QUERY:
            self._query(read_query(data))
        else:
            raise ProtocolFault(f"messages of kind {kind} are not spoken here")

    def _query(self, command: Command) -> None:
        """A driver's first word; everything else has long been said by OP_MSG."""
        if command.name in hello.NAMES:
            told = self._hello(command)
        else:
            words = f"{command.name} by OP_QUERY is not understood; use OP_MSG"
            told = {**document(Fault.OP_QUERY, words)}
        reply = message.build_reply(told, number=0, answers=message.request_id(command.data))
        self.transport.write(reply)

    def _command(self, command: Command) -> None:
        """One of _OURS."""
        if command.name in hello.NAMES:
            self._compress = False
            self._answer(command, self._hello(command))
        elif command.name in COMMANDS:
            self._compress = False
            self._log_in(command)
        elif command.name == "killCursors":
            self._kill(command)
        else:
            self._get_more(command)

    def _log_in(self, command: Command) -> None:
        greeting = self._greeting
        before = greeting.guest
        self._answer(command, {**greeting.hear(command)})
        if greeting.guest is not before:
            self._visits.forget()
            self._framer.longest = self._hall.limits.longest
            if greeting.password:
                self._hall.proven[greeting.guest.user] = greeting.password

    def _visit(self, command: Command) -> Visit | None:
        """Where a command belongs, if it may be carried out; otherwise the client is told why not."""
        guest = self._greeting.guest
        try:
            visit = self._visits.of(guest, command)
        except NoRoute:
            words = f"not authorized on {command.database} to execute command {command.name}"
            if not guest.user:
                words = f"Command {command.name} requires authentication"
            self._fail(command, Fault.UNAUTHORIZED, words)
            return None
        except Shut as shut:
            self._refuse_by(command, shut.refusal)
            return None
        if visit.permit.looks:
            collection = command.text(command.name.encode())
            statement = f"{command.name} {command.database}.{collection}" if collection else command.name
            if (refusal := visit.permit.refuses(statement.encode())) is not None:
                self._refuse_by(command, refusal)
                return None
        return visit

    def _refuse_by(self, command: Command, refusal: Refusal) -> None:
        blocked = refusal.kind is RefusalKind.BLOCKED
        self._fail(command, Fault.UNAUTHORIZED if blocked else Fault.LIMITED, refusal.words)

    def _send_on(self, command: Command) -> None:
        visit = self._visit(command)
        if visit is None:
            return
        try:
            mode = place_of(command, visit.route.options)
        except NotUnderstood as error:
            self._fail(command, Fault.NO_SERVER, str(error))
            return
        if mode is None:
            self._fail(command, Fault.UNAUTHORIZED, f"the route {visit.route.route_id} takes only reads")
            return
        visit.tally.transactions += command.name == "commitTransaction"
        self._begin(
            visit, command, command.data, Tracking(self._hall.registry, self._user, self.number), mode
        )

    def _get_more(self, command: Command) -> None:
        visit = self._visit(command)
        if visit is None:
            return
        number = bson.number(command.data, command.cursor) or 0
        cursor = self._hall.registry.used(number, self._user, self.number)
        if cursor is None and number and self._hall.registry.is_elsewhere(number):
            found = partial(self._found, visit, command)
            self._operation = Lookup(self._hall.registry, number, self._user, found)
        else:
            self._found(visit, command, cursor)

    def _found(self, visit: Visit, command: Command, cursor: Cursor | None) -> None:
        place = command.cursor
        number = bson.number(command.data, place) or 0
        if place is None or cursor is None:
            self._operation = None
            self._fail(command, Fault.CURSOR_NOT_FOUND, f"cursor id {number} not found")
            self._go_on()
            return
        data = message.with_number(command.data, place[1], cursor.number)
        tracking = Tracking(self._hall.registry, self._user, self.number, number=number, cursor=cursor)
        self._begin(visit, command, data, tracking, Mode.PRIMARY)

    @property
    def _user(self) -> str:
        return self._greeting.guest.user

    def _begin(self, visit: Visit, command: Command, data: bytes, tracking: Tracking, mode: Mode) -> None:
        self._operation = operation = Operation(visit, self, command, data, tracking)
        operation.start(mode)

    def _kill(self, command: Command) -> None:
        """From here on nobody can use them; the servers are told meanwhile."""
        if self._visit(command) is None:
            return
        numbers = command.cursors()
        known = {number: self._hall.registry.kill(number, self._user) for number in numbers}
        killed = tuple(Int64(number) for number in numbers if known[number])
        unknown = tuple(Int64(number) for number in numbers if not known[number])
        told: Document = {"cursorsKilled": killed, "cursorsNotFound": unknown}
        self._answer(command, {**told, "cursorsAlive": (), "cursorsUnknown": (), "ok": 1.0})

    def _hello(self, command: Command) -> Document:
        hall = self._hall
        self._introduce(command)
        place = command.places.get(b"compression")
        asked = bson.walk(command.data, place[1], place[2]) if place and place[0] == bson.Kind.ARRAY else ()
        theirs = [bson.text(command.data, item) for _, item in asked]
        compressors = tuple(name for name in hall.limits.compressors if name in theirs)
        told = hello.answer_hello(hall.facts(), self.number, compressors)
        if command.number(b"loadBalanced"):
            told["serviceId"] = hall.identity
        if b"saslSupportedMechs" in command.places:
            told["saslSupportedMechs"] = (MECHANISM,)
        if (begun := self._greeting.speculate(command)) is not None:
            told["speculativeAuthenticate"] = begun
        return {**told, "ok": 1.0}

    def _introduce(self, command: Command) -> None:
        """The first hello says what the application is called."""
        guest = self._greeting.guest
        place = command.inner(b"client").get(b"application")
        if guest.door.application or place is None or place[0] != bson.Kind.DOCUMENT:
            return
        name = bson.text(command.data, bson.fields(command.data, place[1], place[2]).get(b"name"))
        if name:
            self._greeting.guest = replace(guest, door=replace(guest.door, application=name[:128]))
            self._visits.forget()

    def _fail(self, command: Command, fault: Fault, words: str) -> None:
        if not command.flags & message.MORE_TO_COME:
            self.hear(answer(command, fault, words), last=False)

    def _answer(self, command: Command, told: Document) -> None:
        if not command.flags & message.MORE_TO_COME:
            self.hear(message.build(told, number=0, answers=message.request_id(command.data)), last=False)
