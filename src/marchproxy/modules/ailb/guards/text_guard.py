"""Text guard: a guardrail that looks for something in the texts of a request. Pure."""

from marchproxy.model.ai import GuardKind, GuardMode, Guardrail
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.guards.checking import Checking, Notes, Subject
from marchproxy.modules.ailb.guards.span import Looker, Span, add, replaced, weigh

_INJECTION = "what looks like an attempt to override instructions"


class TextGuard:
    """Goes by what its looker finds."""

    reads = True

    def __init__(self, guardrail: Guardrail, looker: Looker) -> None:
        self.guardrail = guardrail
        self._looker = looker

    def check(self, subject: Subject, notes: Notes) -> Checking[Failure | None]:
        """Why the request is refused; None: it is not."""
        name, mode = self.guardrail.name, self.guardrail.mode
        for at, passage in enumerate(subject.passages):
            if passage.role in self._looker.skips:
                continue
            text = passage.text
            spans = yield from self._look(subject, text)
            if not spans:
                continue
            for span in spans:
                notes.add(name, span.kind, passage.place, span.start, text[span.start : span.end])
            if mode is GuardMode.BLOCK:
                return self._refusal(passage.place, spans[0])
            if mode is GuardMode.REDACT:
                subject.put(at, replaced(text, spans))
        return None

    def _look(self, subject: Subject, text: str) -> Checking[list[Span]]:
        step = self._looker.step
        if len(text) <= step:
            found = self._looker.look(text, 0, len(text))
            if subject.is_time(len(text)):
                yield None
        else:
            found = []
            for start in range(0, len(text), step):
                found += self._looker.look(text, start, min(start + step, len(text)))
                if subject.is_time(step):
                    yield None
        return _in_order(found) if found and weigh(found) else []

    def _refusal(self, place: str, span: Span) -> Failure:
        kind = self.guardrail.kind
        what = _INJECTION if kind is GuardKind.INJECTION else span.kind.replace("_", " ")
        words = f"the guardrail {self.guardrail.name!r} refuses this request: there is {what} in it"
        return Failure(Reason.GUARDED, words, place)


def _in_order(found: list[Span]) -> list[Span]:
    spans: list[Span] = []
    for span in found:
        add(spans, span)
    return spans
