"""Exchange: one request of Envoy's, from there to an engine and back.

Nothing is said to Envoy before an engine has said something: until then an attempt that fails is answered with an error, and
Envoy tries the next target. After that the stream is ended with an error in the client's dialect.
"""

from dataclasses import replace
from enum import Enum

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.relay.approach import Approach
from marchproxy.modules.ailb.relay.keeping import Kept
from marchproxy.modules.ailb.relay.link import Link
from marchproxy.modules.ailb.relay.office import Office
from marchproxy.modules.ailb.relay.outgoing import LEFT_OUT
from marchproxy.modules.ailb.relay.pace import Pace
from marchproxy.modules.ailb.relay.shapes import Shape, broken_off, shape_of
from marchproxy.modules.ailb.relay.side import Question, Side
from marchproxy.modules.ailb.relay.traced import trailers
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.http1_answer import HOP_BY_HOP, Answer

_FIRST_FAULT = 400
#: Seconds for an engine to stop after a hang-up; what it says until then is counted.
_LEAVING_SECONDS = 0.08
_OK = 200
_WHEN_AGAIN = {b"retry-after", b"retry-after-ms"}
_IDENTITY = {b"", b"identity"}


class Phase(Enum):
    """ASKING: the engine has said nothing that counts; FLOWING: Envoy has a head; LEAVING: nobody listens any more."""

    ASKING = "asking"
    FLOWING = "flowing"
    LEAVING = "leaving"
    OVER = "over"


#: An Enum's members are looked up slowly, and these for every piece of a stream.
_FLOWING, _OVER = Phase.FLOWING, Phase.OVER


class Exchange:
    """One attempt. `office`: what it shares with others; `side`: its stream towards Envoy."""

    __slots__ = (
        "_answer", "_approach", "_kept", "_link", "_office", "_pace", "_paused", "_phase", "_question", "_shape", "_side",
        "_spoken", "_status", "_touched",
    )  # fmt: skip

    def __init__(self, office: Office, side: Side, question: Question) -> None:
        self._office = office
        self._side = side
        self._question = question
        self._phase = Phase.ASKING
        self._touched = office.now()
        self._pace = Pace(self._touched)
        self._answer = Answer()
        self._shape: Shape | None = None
        self._link: Link | None = None
        self._approach = Approach(office, self, question)
        self._status = 0
        self._spoken = False  # the engine has said something
        self._paused = False
        self._kept = Kept() if asking.TASK_KEEP in question.heard.tasks else None

    def begin(self, body: bytes) -> None:
        """Ask."""
        self._approach.begin(body)

    def receive(self, data: bytes) -> None:
        """The engine says something."""
        self._spoken = True
        answer = self._answer
        try:
            body = answer.receive(data)
        except ProtocolFault as fault:
            self._fail(Failure(Reason.BAD_ANSWER, f"the engine does not speak HTTP: {fault}"))
            return
        if body:
            self._take(body)
        if answer.ended and self._phase is not _OVER:
            self._complete()

    def lost(self) -> None:
        """The engine's connection has ended."""
        link, self._link = self._link, None
        if self._phase is Phase.LEAVING:
            self._finish(Ending.CLIENT_GONE)
        elif not self._spoken and link is not None and link.used:
            self._approach.again()  # it was closed at the moment of the question: nobody has heard it
        elif self._answer.close():
            self._complete()
        elif self._spoken:
            self._fail(broken_off())
        else:
            self._fail(Failure(Reason.OVERLOADED, "the engine hung up before it answered"))

    def leave(self) -> None:
        """Envoy listens no more: the engine is told at once."""
        if self._phase in {Phase.LEAVING, Phase.OVER}:
            return
        if self._link is None:
            self._finish(Ending.CLIENT_GONE)
            return
        self._phase = Phase.LEAVING
        self._link.hang_up()
        if self._paused:
            self._link.resume()
        self._office.later(_LEAVING_SECONDS, self._left)

    def drained(self) -> None:
        """What waited for Envoy has gone."""
        if self._paused and not self._side.is_full(self._question.stream):
            self._paused = False
            self._touched = self._office.now()
            if self._link is not None:
                self._link.resume()

    def hold(self) -> None:
        """Envoy takes nothing for now."""
        if not self._paused and self._link is not None and self._phase is Phase.FLOWING:
            self._paused = True
            self._link.pause()

    def check(self, now: float) -> None:
        """Now and then: whether the engine has been silent for too long. One that we do not listen to is not."""
        patience = self._office.ways.patience(self._question.heard.route)
        if self._phase is Phase.ASKING and 0 < patience.first_byte < self._pace.all(now):
            self._fail(Failure(Reason.TIMEOUT, "the engine did not begin to answer in time"))
        elif self._phase is Phase.FLOWING and not self._paused and 0 < patience.idle < now - self._touched:
            self._fail(Failure(Reason.TIMEOUT, "the engine fell silent in the middle of its answer"))

    def reached(self, link: Link) -> None:
        """The engine is there."""
        self._link = link
        link.ask(self, self._approach.data)

    def unreached(self, failure: Failure) -> None:
        """It is not, or cannot be asked this."""
        self._fail(failure)

    def _take(self, body: bytes) -> None:
        shape = self._shape or self._begin_shape()
        before = shape.pieces
        out = shape.feed(body)
        now = self._touched = self._office.now()
        if before is None or shape.pieces != before:
            self._pace.mark(now)
        if self._phase is _FLOWING and self._kept is None:  # nearly always
            if out and not self._side.send(self._question.stream, out):
                self.hold()
        elif self._phase is Phase.LEAVING:
            return
        elif out:
            self._send(out)
        if shape.failure is not None:
            self._fail(shape.failure)

    def _begin_shape(self) -> Shape:
        answer, outgoing = self._answer, self._approach.let_go()
        self._side.let_go(self._question.stream)
        self._status = answer.status
        readable = answer.field(b"content-encoding") in _IDENTITY
        self._shape = shape_of(
            self._question.heard.operation,
            answer.status,
            answer.field(b"content-type").lower() if readable else b"",
            outgoing.strip,
            outgoing.translation,
        )
        return self._shape

    def _send(self, out: bytes) -> None:
        if self._phase is Phase.ASKING:
            self._begin_answer()
        if self._kept is not None:
            self._kept.add(out)
        if not self._side.send(self._question.stream, out):
            self.hold()

    def _begin_answer(self, size: int | None = None) -> None:
        """Send the head. `size`: of the whole answer, where it is another one than the engine's."""
        assert self._shape is not None
        exact = self._shape.exact
        fields = [
            field
            for field in self._answer.fields
            if field[0] not in HOP_BY_HOP and (exact or field[0] != b"content-length")
        ]
        if size is not None:
            fields = [field for field in fields if field[0] != b"content-type"]
            fields += [(b"content-type", b"application/json"), (b"content-length", b"%d" % size)]
        if left_out := self._approach.outgoing.left_out:
            fields.append((LEFT_OUT, left_out.encode()))
        if self._kept is not None:
            fields.append((asking.CACHE.encode(), b"miss"))
        self._phase = Phase.FLOWING
        self._side.answer(self._question.stream, self._answer.status, fields)

    def _complete(self) -> None:
        """The engine's answer has ended."""
        shape = self._shape or self._begin_shape()
        out = shape.end()
        link, self._link = self._link, None
        if link is not None:
            if self._answer.keeps and not self._answer.extra and self._phase is not Phase.LEAVING:
                link.release()
            else:
                link.abort()
        if self._phase is Phase.LEAVING:
            self._finish(Ending.CLIENT_GONE)
            return
        if shape.failure is not None:
            self._fail(shape.failure)
            return
        stream = self._question.stream
        if shape.whole:
            self._begin_answer(len(out))
        if out:
            self._send(out)
        elif self._phase is Phase.ASKING:
            self._begin_answer()
        self._side.end(stream, self._told())
        self._hand_over()
        self._finish(Ending.COMPLETE if self._status < _FIRST_FAULT else Ending.REFUSED)

    def _hand_over(self) -> None:
        data = self._kept.whole if self._kept is not None and self._status == _OK else b""
        if data:
            kind = self._answer.field(b"content-type") or b"application/json"
            self._office.spawn(self._office.errands.keep(self._question.heard.number, kind, data))

    def _fail(self, failure: Failure) -> None:
        """End it with an error: as an answer, or behind what was sent."""
        link, self._link = self._link, None
        if link is not None:
            link.abort()
        if self._phase is Phase.LEAVING:
            self._finish(Ending.CLIENT_GONE)
        elif self._phase is Phase.ASKING:
            self._side.tell(self._question, failure, self._when_again())
            refused = self._status >= _FIRST_FAULT or failure.reason is Reason.BAD_REQUEST
            self._finish(Ending.REFUSED if refused else Ending.UNREACHED)
        elif self._phase is Phase.FLOWING:
            assert self._shape is not None
            self._side.break_off(self._question.stream, self._shape.last_words(failure), self._told(failure))
            self._finish(Ending.BROKEN)

    def _told(self, failure: Failure | None = None) -> bytes:
        assert self._shape is not None
        return trailers(self._question.head.fields, self._shape.usage, self._shape.pieces, failure)

    def _when_again(self) -> list[tuple[bytes, bytes]]:
        """When the provider wants to be asked again, if it has said so."""
        return [field for field in self._answer.fields if field[0] in _WHEN_AGAIN] if self._status else []

    def _left(self) -> None:
        if self._phase is Phase.LEAVING:
            link, self._link = self._link, None
            if link is not None:
                link.abort()
            self._finish(Ending.CLIENT_GONE)

    def _finish(self, ending: Ending) -> None:
        self._phase = Phase.OVER
        self._approach.cancel()
        heard, shape, pace = self._question.heard, self._shape, self._pace
        pieces = shape.pieces if shape is not None else 0
        usage = shape.usage if shape is not None else None
        if usage is not None and pieces and ending is not Ending.COMPLETE:
            usage = replace(usage, output=max(usage.output, pieces))  # Anthropic's first event says 1
        report = Report(
            heard.number,
            ending,
            heard.pool,
            self._approach.host,
            self._status,
            usage,
            pieces,
            pace.first,
            pace.each(pieces),
            pace.longest or None,
            pace.all(self._office.now()),
            attempts=heard.attempt,
            fields=heard.told(),
        )
        self._side.over(self._question.stream)
        self._office.over(self, report)
