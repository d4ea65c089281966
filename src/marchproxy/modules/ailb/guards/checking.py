"""Checking: one request under the eyes of guardrails: what they see, what they note, and what they may want from outside. Pure.

A check is a generator. It yields None where others may go first, and an Ask where somebody else is to say something; who carries it
out sends back what was said.
"""

from collections.abc import Generator
from dataclasses import dataclass
from hashlib import blake2s
from typing import TypeAlias, TypeVar

from marchproxy.model.ai import Guardrail
from marchproxy.modules.ailb.dialects.asked import MOST_OUTPUT, Asked, read
from marchproxy.modules.ailb.dialects.failure import Failure
from marchproxy.modules.ailb.dialects.passages import Passage, changed, passages

_T = TypeVar("_T")
_MOST_FINDINGS = 16
_DIGEST_BYTES = 4
#: Characters after which others may go first.
_PAUSE = 4096


@dataclass(frozen=True, slots=True)
class Ask:
    """To be sent to the guardrail's `url`."""

    guardrail: Guardrail
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What was said there: whether it objects, and to what."""

    flagged: bool
    words: str = ""


#: Sent back for an Ask: None, nobody has answered.
Checking: TypeAlias = Generator[Ask | None, Said | None, _T]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, without it: `start` and `length` in characters, `digest` of it with a secret of this process."""

    guardrail: str
    kind: str
    place: str = ""
    start: int = 0
    length: int = 0
    digest: str = ""

    @property
    def words(self) -> str:
        """For a log."""
        place = f" in {self.place}" if self.place else ""
        what = f" at {self.start}, {self.length} characters, {self.digest}" if self.digest else ""
        return f"{self.guardrail}: {self.kind}{place}{what}"


class Notes:
    """What was found in a request: some findings, and by which guardrails. `secret`: or one could try all telephone numbers."""

    def __init__(self, secret: bytes) -> None:
        self.findings: list[Finding] = []
        self.names: set[str] = set()
        self._secret = secret

    def add(self, guardrail: str, kind: str, place: str = "", start: int = 0, what: str = "") -> None:
        """One more."""
        self.names.add(guardrail)
        if len(self.findings) < _MOST_FINDINGS:
            digest = (
                blake2s(what.encode(), key=self._secret, digest_size=_DIGEST_BYTES).hexdigest()
                if what
                else ""
            )
            self.findings.append(Finding(guardrail, kind, place, start, len(what), digest))


class Subject:
    """The request as it is now. `passages`: its texts; each guardrail sees what those before it have left."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.passages: list[Passage] = list(passages(asked.operation, asked.body))
        self._texts = [passage.text for passage in self.passages]
        self._touched = False
        self._most: int | None = None
        self._looked = 0

    def put(self, at: int, text: str) -> None:
        """Have another text in the place of a passage's."""
        self._touched = True
        self.passages[at] = self.passages[at]._replace(text=text)

    def lower(self, most: int) -> None:
        """Ask for no more tokens than these."""
        self._most = most

    def is_time(self, characters: int) -> bool:
        """So many were looked at: whether it is time for others."""
        self._looked += characters
        if self._looked < _PAUSE:
            return False
        self._looked = 0
        return True

    def now(self) -> Asked | Failure:
        """The request, with all that was changed in it. Raises BadJson."""
        asked = self.asked
        body = asked.body
        if self._touched:
            news = {old: passage.text for old, passage in zip(self._texts, self.passages, strict=True)}
            body = changed(asked.operation, body, lambda text: news.get(text, text))
        if self._most is not None:
            names = MOST_OUTPUT[asked.operation]
            given = [name for name in names if body.members.get(name) is not None] or names[:1]
            return read(asked.operation, body.replaced(dict.fromkeys(given, self._most)))
        return asked if body is asked.body else read(asked.operation, body.text.encode())
