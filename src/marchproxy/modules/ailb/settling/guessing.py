"""Guessing: how many tokens a stream had that nobody has counted, by its bytes and what other answers of its kind had. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from marchproxy.model.ai import Dialect
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.decision.under_way import Passed
from marchproxy.modules.ailb.settling.charge import charge
from marchproxy.modules.ailb.settling.report import Ending, Report

_MOST = 1024
#: Tokens after which what was seen before counts half: an engine that is renewed may word its events otherwise.
_MEMORY = 20_000
_CUT = frozenset({Ending.CLIENT_GONE, Ending.BROKEN})
#: Anthropic's first event says that a token or some were written, and only the last how many. What is so much less than the bytes say
#: was said in the first.
_BEGINNING = 2


@dataclass(slots=True)
class _Seen:
    size: int = 0
    tokens: int = 0

    def add(self, size: int, tokens: int) -> None:
        self.size += size
        self.tokens += tokens
        if self.tokens > _MEMORY:
            self.size = max(1, self.size // 2)
            self.tokens //= 2


class Guesses:
    """By model, pool and operation, at most so many; the one that was not asked about for longest is forgotten."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str], _Seen] = OrderedDict()

    def learn(self, passed: Passed, report: Report) -> None:
        """How large a stream was whose provider has said what it used."""
        whole = passed.stream and report.ending is Ending.COMPLETE
        if whole and report.size and report.usage is not None and report.usage.output:
            key = _key(passed, report)
            self._seen.setdefault(key, _Seen()).add(report.size, report.usage.output)
            self._seen.move_to_end(key)
            if len(self._seen) > _MOST:
                self._seen.popitem(last=False)

    def charge(self, passed: Passed, report: Report) -> tuple[Usage | None, bool]:
        """What `charge` says, and whether it was counted; a guess where nobody has, None where none can be made."""
        found = charge(passed, report)
        if found is None:
            return self._guess(passed, report), False
        if found.output and report.ending in _CUT and passed.operation.dialect is Dialect.ANTHROPIC:
            guess = self._guess(passed, report)
            if guess is not None and guess.output > _BEGINNING * found.output:
                return replace(found, output=guess.output), False
        return found, True

    def _guess(self, passed: Passed, report: Report) -> Usage | None:
        """Of a stream: no more than was reserved. None: nothing is known of its kind."""
        seen = self._seen.get(_key(passed, report)) if passed.stream and report.size is not None else None
        if seen is None or report.size is None:
            return None
        tokens = -(-report.size * seen.tokens // seen.size)
        return Usage(passed.expected.input, min(tokens, passed.expected.output))


def _key(passed: Passed, report: Report) -> tuple[str, str, str]:
    return passed.model.name, report.pool, passed.operation.value
