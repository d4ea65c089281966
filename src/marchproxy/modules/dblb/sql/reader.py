"""Reader: the facts of a text, read once. Bounded in entries and in bytes; the one used longest ago goes first.

A text is looked up as it is, then by its shape (itself without its literals), then parsed. The shape and not pg_query's
fingerprint: to that, tables that differ in digits (secret12, secret13) are the same, and to a firewall they are not.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from marchproxy.modules.dblb.sql.comments import Comments, postgres_comments
from marchproxy.modules.dblb.sql.facts import Dialect, Draft, Facts, NotUnderstood, Syntax
from marchproxy.modules.dblb.sql.mysql import read_mysql, words_of
from marchproxy.modules.dblb.sql.mysql_text import Reading, readings
from marchproxy.modules.dblb.sql.postgres import postgres_shape, read_postgres

#: What an entry takes besides its text: its facts, its place in two tables; an estimate.
_OVERHEAD = 2048
_Key = TypeVar("_Key", str, bytes)


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """How much a reader keeps and reads."""

    most_entries: int = 10_000
    most_bytes: int = 32 << 20
    longest_parsed: int = 16 << 10
    """Bytes of a text; a longer one is unknown, and is not kept."""
    longest_scanned: int = 256 << 10
    """Bytes of an unknown text whose words are still collected; of a longer one nothing is known to the firewall but that
    it was not read, which a rule about `unparsable` can block."""


class Reader:
    """Reads the texts of one syntax."""

    def __init__(self, syntax: Syntax, limits: ReaderLimits | None = None) -> None:
        self._syntax = syntax
        self._limits = limits or ReaderLimits()
        self._texts = _Kept[bytes](self._limits)
        self._shapes = _Kept[str](self._limits)
        self.parsed = 0
        """Texts for which neither was known."""

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def used(self) -> int:
        """About how many bytes are kept."""
        return self._texts.used + self._shapes.used

    def facts(self, text: bytes) -> Facts:
        """What the text does. Never raises; what cannot be read has a `problem`."""
        known = self._texts.get(text)
        if known is not None:
            return known
        if len(text) > self._limits.longest_parsed:
            scanned = text if len(text) <= self._limits.longest_scanned else b""
            return _unknown(
                f"longer than {self._limits.longest_parsed} bytes", scanned.decode("utf-8", "replace")
            )
        facts = self._read(text)
        self._texts.put(text, facts, len(text))
        return facts

    def _read(self, raw: bytes) -> Facts:
        problem = self._unreadable(raw)
        text = raw.decode("utf-8", "replace")
        if problem:
            return _unknown(problem, text)
        try:
            if self._syntax.dialect is Dialect.POSTGRES:
                return self._postgres(text)
            return self._mysql(text)
        except NotUnderstood as error:
            return _unknown(str(error), text)

    def _unreadable(self, raw: bytes) -> str:
        if b"\0" in raw:
            return "it holds a zero byte"
        if b"\\" in raw and not self._syntax.usual_backslash:
            return "it holds a backslash, whose meaning the session has changed"
        if raw.isascii():
            return ""
        if not self._syntax.utf8:
            return "it is not ASCII, and the client's encoding is not UTF-8"
        try:
            raw.decode()
        except UnicodeDecodeError:
            return "it is not UTF-8"
        return ""

    def _postgres(self, text: str) -> Facts:
        comments = postgres_comments(text)
        shape = postgres_shape(text)
        known = self._shapes.get(shape) if shape is not None else None
        if known is not None:
            return known
        self.parsed += 1
        facts = _commented(read_postgres(text), comments)
        return self._share(shape, facts)

    def _mysql(self, text: str) -> Facts:
        ansi = self._syntax.ansi_quotes
        seen: list[Reading] = readings(text, ansi_quotes=ansi)
        shape = seen[0].shape if len(seen) == 1 and not seen[0].comments.texts else None
        known = self._shapes.get(shape) if shape is not None else None
        if known is not None:
            return known
        self.parsed += 1
        draft = read_mysql(seen[0], ansi_quotes=ansi)
        for other in {reading.statements: reading for reading in seen[1:]}.values():
            draft.join(read_mysql(other, ansi_quotes=ansi))
        return self._share(shape, _commented(draft, seen[0].comments))

    def _share(self, shape: str | None, facts: Facts) -> Facts:
        if shape is not None and facts.constant and not facts.problem:
            self._shapes.put(shape, facts, len(shape))
        return facts


class _Kept(Generic[_Key]):
    def __init__(self, limits: ReaderLimits) -> None:
        self._limits = limits
        self._known: OrderedDict[_Key, tuple[Facts, int]] = OrderedDict()
        self.used = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: _Key) -> Facts | None:
        known = self._known.get(key)
        if known is None:
            return None
        self._known.move_to_end(key)
        return known[0]

    def put(self, key: _Key, facts: Facts, length: int) -> None:
        names = len(facts.words) + len(facts.tables) + len(facts.columns) + len(facts.functions)
        cost = _OVERHEAD + 2 * length + 128 * names + 256 * len(facts.settings)
        self._known[key] = (facts, cost)
        self.used += cost
        while self._known and (
            self.used > self._limits.most_bytes // 2 or len(self) > self._limits.most_entries
        ):
            self.used -= self._known.popitem(last=False)[1][1]


def _commented(draft: Draft, comments: Comments) -> Facts:
    return replace(
        draft.finish(), comments=len(comments.texts), nested_comments=comments.nested, hint=comments.hint()
    )


def _unknown(problem: str, text: str) -> Facts:
    return Facts(problem=problem, words=frozenset(words_of(text)), constant=False)
