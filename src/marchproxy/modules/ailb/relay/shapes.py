"""Shapes: what becomes of an engine's answer on its way to the client: a stream or a whole, in its own words or in others'. Pure."""

import re
from typing import Protocol

from marchproxy.model.ai import Dialect
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.dialects.failure import Failure, Reason, failure_of
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.dialects.usage import of_answer
from marchproxy.modules.ailb.relay.counting import Count, WholeEvents
from marchproxy.modules.ailb.relay.stripping import Strip, strip
from marchproxy.modules.ailb.translate.answers import NoAnswer
from marchproxy.modules.ailb.translate.exchange import Exchange as Translation
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.sse import LONGEST_EVENT, Event, Events, write

_FIRST_FAULT = 400
#: Bytes of an answer that is looked at, or translated, as a whole.
LONGEST_WHOLE = 32 * 1024 * 1024
#: What the last event of a stream has in it that has ended. Some engines forget OpenAI's `[DONE]`; behind a reason, or behind
#: what was used, nothing else can come.
_ENDS = re.compile(
    rb'\[DONE\]|message_stop|response\.(?:completed|incomplete|failed)|"error"|"finish_reason": ?"|"choices": ?\[\]'
)


class Shape(Protocol):
    """`failure`: the answer is none, and this is what the client is told in its place. `whole`: nothing goes out before the end.

    `pieces`: of what a model writes, that the client was sent; None: nobody counts them. `exact`: what goes out is what came
    in, byte for byte.
    """

    exact: bool
    pieces: int | None

    whole: bool
    failure: Failure | None

    @property
    def usage(self) -> Usage | None:
        """What the provider said; None: nothing."""

    def feed(self, data: bytes) -> bytes:
        """What goes to the client for these bytes."""

    def end(self) -> bytes:
        """The answer has ended, as far as HTTP can tell."""

    def last_words(self, failure: Failure) -> bytes:
        """What ends an answer that has begun, in the client's dialect; empty: nothing can."""


class _Stream:
    """A stream of events."""

    whole = exact = False

    def __init__(self, operation: Operation) -> None:
        self.failure: Failure | None = None
        self.count = Count(operation)
        self.pieces: int | None = 0
        self._operation = operation

    def _see(self, events: bytes) -> None:
        self.count.see(events)
        self.pieces = self.count.pieces

    def last_words(self, failure: Failure) -> bytes:
        """As a Shape's."""
        responses = self.count.lines if self._operation is Operation.RESPONSES else None
        return b"".join(map(write, failure.events(self._operation.dialect, responses=responses)))


class PassedStream(_Stream):
    """A stream in the client's own dialect: it is passed on as it comes, in whole events."""

    def __init__(self, operation: Operation, how: Strip) -> None:
        super().__init__(operation)
        self._how = how
        self._cut = WholeEvents(LONGEST_EVENT)
        self._last = b""

    @property
    def usage(self) -> Usage | None:
        """As its events say."""
        return self.count.usage

    def feed(self, data: bytes) -> bytes:
        """As a Shape's."""
        count = self.count
        if not self._cut.held and count.is_alike(data):
            self.pieces = count.pieces
            self._last = data
            return data
        events = self._cut.feed(data)
        if not events:
            if events is None:
                self.failure = Failure(Reason.BAD_ANSWER, "an event of the provider's stream is too long")
            return b""
        before = count.lines
        count.see(events)
        self.pieces = count.pieces
        if count.lines != before:  # and not only a comment
            self._last = events
        return strip(events, self._how) if count.has_usage else events

    def end(self) -> bytes:
        """As a Shape's. HTTP may be sure of what an engine that lost its way is not."""
        rest = self._cut.rest()
        if not _ENDS.search(rest) and not _ENDS.search(self._last):
            self.failure = broken_off()
            return b""
        if rest:
            rest = rest.rstrip(b"\r\n") + b"\n\n"
            self._see(rest)
        return strip(rest, self._how)


class TranslatedStream(_Stream):
    """A stream of another dialect's."""

    def __init__(self, operation: Operation, translation: Translation) -> None:
        super().__init__(operation)
        self._events = Events()
        self._machine = translation.stream()

    @property
    def usage(self) -> Usage | None:
        """As the provider says."""
        return self._machine.tally.usage

    def feed(self, data: bytes) -> bytes:
        """As a Shape's."""
        out: list[Event] = []
        try:
            for event in self._events.feed(data):
                out += self._machine.feed(event)
        except NoAnswer as error:
            self.failure = error.failure
        except ProtocolFault as fault:
            self.failure = Failure(Reason.BAD_ANSWER, f"the provider's stream cannot be read: {fault}")
        return self._written(out)

    def end(self) -> bytes:
        """As a Shape's; the provider's own last event tells whether it had finished."""
        out: list[Event] = []
        try:
            for event in self._events.end():
                out += self._machine.feed(event)
            out += self._machine.end()
        except NoAnswer as error:
            self.failure = error.failure
        return self._written(out)

    def _written(self, events: list[Event]) -> bytes:
        data = b"".join(map(write, events))
        if data:
            self._see(data)
        return data


class _Whole:
    """An answer that is collected, so far as it is no longer than LONGEST_WHOLE."""

    def __init__(self) -> None:
        self.pieces: int | None = None
        self.failure: Failure | None = None
        self.usage: Usage | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def last_words(self, failure: Failure) -> bytes:
        """As a Shape's: half an answer cannot be ended."""
        del failure
        return b""

    def _keep(self, data: bytes) -> bool:
        self._size += len(data)
        if self._size > LONGEST_WHOLE:
            self._parts.clear()
            return False
        self._parts.append(data)
        return True


class PassedWhole(_Whole):
    """Passed on as it comes; what it used is read at the end."""

    whole, exact = False, True

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect

    def feed(self, data: bytes) -> bytes:
        """As a Shape's."""
        self._keep(data)
        return data

    def end(self) -> bytes:
        """As a Shape's."""
        self.usage = of_answer(self._dialect, b"".join(self._parts))
        return b""


class TranslatedWhole(_Whole):
    """Said in the client's words when it is whole. `status`: the provider's; an error is a failure."""

    whole, exact = True, False

    def __init__(self, translation: Translation, status: int, *, streams: bool) -> None:
        super().__init__()
        self._translation = translation
        self._status = status
        self._streams = streams

    def feed(self, data: bytes) -> bytes:
        """As a Shape's."""
        if not self._keep(data):
            self.failure = Failure(Reason.BAD_ANSWER, "the provider's answer is too long")
        return b""

    def end(self) -> bytes:
        """As a Shape's."""
        data = b"".join(self._parts)
        if self._status >= _FIRST_FAULT:
            self.failure = failure_of(self._status, data)
        elif self._streams:
            self.failure = Failure(Reason.BAD_ANSWER, "the provider was asked for a stream and sent none")
        else:
            try:
                said = self._translation.answer(data)
            except NoAnswer as error:
                self.failure = error.failure
            else:
                self.usage = of_answer(self._translation.provider.dialect, data)
                return said
        return b""


def shape_of(
    operation: Operation, status: int, content_type: bytes, how: Strip, translation: Translation | None
) -> Shape:
    """For an answer with this head. `content_type` is empty where the content is encoded, so that nobody can read it."""
    streams = status < _FIRST_FAULT and content_type.startswith(b"text/event-stream")
    if translation is None:
        return PassedStream(operation, how) if streams else PassedWhole(operation.dialect)
    if streams and translation.asked.stream:
        return TranslatedStream(operation, translation)
    return TranslatedWhole(translation, status, streams=translation.asked.stream)


def broken_off() -> Failure:
    """The engine died, or lost its way."""
    return Failure(Reason.BAD_ANSWER, "the engine ended before its answer was complete")
