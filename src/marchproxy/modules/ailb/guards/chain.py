"""Chain: the guardrails of a route, in their order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, assert_never

from marchproxy.model.ai import GuardKind, GuardMode, Guardrail
from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.dialects.body import BadJson
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.passages import has_tokens
from marchproxy.modules.ailb.guards.checking import Checking, Notes, Subject
from marchproxy.modules.ailb.guards.injection import InjectionLooker
from marchproxy.modules.ailb.guards.limits import MaxTokensGuard, ToolsGuard
from marchproxy.modules.ailb.guards.moderation import ModerationGuard
from marchproxy.modules.ailb.guards.pii import PiiLooker
from marchproxy.modules.ailb.guards.regexes import RegexLooker
from marchproxy.modules.ailb.guards.text_guard import TextGuard

_TOKENS = "the guardrails of this route cannot read a prompt that is given as tokens: send it as text"
_TOO_LONG = "the request has more text than the guardrails of this route can look at"


class Guard(Protocol):
    """One guardrail. `reads`: it looks at texts."""

    guardrail: Guardrail
    reads: bool

    def check(self, subject: Subject, notes: Notes) -> Checking[Failure | None]:
        """Why the request is refused; None: it is not."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came out: the request as it may be sent, which is `before` itself where nothing was changed; or why it is refused."""

    asked: Asked | Failure
    notes: Notes


class Chain:
    """`secret`: of this process, for the digests of what is found."""

    def __init__(self, guardrails: Iterable[Guardrail], secret: bytes) -> None:
        self._guards = [_guard(guardrail) for guardrail in guardrails]
        self._secret = secret
        self._must_read = any(
            guard.reads and guard.guardrail.mode is not GuardMode.LOG for guard in self._guards
        )

    def check(self, asked: Asked) -> Checking[Checked]:
        """Show a request to all of them, until one refuses it."""
        notes = Notes(self._secret)
        if self._must_read and has_tokens(asked.operation, asked.body):
            return Checked(Failure(Reason.GUARDED, _TOKENS), notes)
        subject = Subject(asked)
        for guard in self._guards:
            refused = yield from guard.check(subject, notes)
            if refused is not None:
                return Checked(refused, notes)
        try:
            return Checked(subject.now(), notes)
        except BadJson as bad:
            words = f"the guardrails of this route cannot change the request: {bad}"
            return Checked(Failure(Reason.GUARDED, words), notes)

    def give_up(self, asked: Asked) -> Checked:
        """What comes out when it takes too long: no request passes that something was to stop."""
        found = Failure(Reason.TOO_LARGE, _TOO_LONG) if self._must_read else asked
        return Checked(found, Notes(self._secret))


def _guard(guardrail: Guardrail) -> Guard:
    match guardrail.kind:
        case GuardKind.REGEX:
            return TextGuard(guardrail, RegexLooker(guardrail.patterns, guardrail.name))
        case GuardKind.PII:
            return TextGuard(guardrail, PiiLooker(guardrail.entities))
        case GuardKind.INJECTION:
            return TextGuard(guardrail, InjectionLooker())
        case GuardKind.MAX_TOKENS:
            return MaxTokensGuard(guardrail)
        case GuardKind.TOOLS:
            return ToolsGuard(guardrail)
        case GuardKind.HTTP:
            return ModerationGuard(guardrail)
        case _:
            assert_never(guardrail.kind)
