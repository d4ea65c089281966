"""Limits: guardrails that look at what is asked for, and not at what is said. Pure."""

from marchproxy.model.ai import GuardMode, Guardrail
from marchproxy.model.glob import is_meant
from marchproxy.modules.ailb.dialects.asked import MOST_OUTPUT, Asked
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.guards.checking import Checking, Notes, Subject

_LONGEST_NAME = 80


class MaxTokensGuard:
    """Who asks for more tokens, or names no maximum, is refused, or gets no more."""

    reads = False

    def __init__(self, guardrail: Guardrail) -> None:
        self.guardrail = guardrail

    def check(self, subject: Subject, notes: Notes) -> Checking[Failure | None]:
        """As a TextGuard's."""
        yield from ()
        asked, limit, name = subject.asked, self.guardrail.limit, self.guardrail.name
        most = _most(asked)
        if not asked.operation.generates or (most is not None and most <= limit):
            return None
        field = MOST_OUTPUT[asked.operation][0]
        notes.add(name, "max_tokens", field)
        if self.guardrail.mode is GuardMode.REDACT:
            subject.lower(limit)
        elif self.guardrail.mode is GuardMode.BLOCK:
            said = "no maximum is named" if most is None else f"{most} are asked for"
            words = f"the guardrail {name!r} allows answers of at most {limit} tokens, and {said}"
            return Failure(Reason.GUARDED, words, field)
        return None


def _most(asked: Asked) -> int | None:
    """Of all members that say a maximum: whoever answers may go by any of them."""
    given = (asked.body.members.get(name) for name in MOST_OUTPUT.get(asked.operation, ()))
    return max((most for most in given if isinstance(most, int)), default=None)


class ToolsGuard:
    """Tools must be allowed by their names; without any that are, none may be there."""

    reads = False

    def __init__(self, guardrail: Guardrail) -> None:
        self.guardrail = guardrail

    def check(self, subject: Subject, notes: Notes) -> Checking[Failure | None]:
        """As a TextGuard's."""
        yield from ()
        allowed, name = self.guardrail.allowed, self.guardrail.name
        for at, tool in enumerate(subject.asked.tools):
            if allowed and is_meant(tool, allowed):
                continue
            notes.add(name, "tool", f"tools[{at}]", what=tool)
            if self.guardrail.mode is GuardMode.BLOCK:
                shown = tool[:_LONGEST_NAME]
                return Failure(
                    Reason.GUARDED, f"the guardrail {name!r} does not allow the tool {shown!r}", "tools"
                )
        return None
