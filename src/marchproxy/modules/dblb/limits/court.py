"""Court: what the firewall says of texts, kept by text; one for all sessions that the same rules are for.

A text is judged once: then its verdict is one look-up. Texts are kept in two generations, each bounded in entries and in bytes;
what was not asked for while a generation filled is forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from marchproxy.model.module import Protocol
from marchproxy.model.sql import SqlRule, SqlScope
from marchproxy.modules.dblb.limits.syntax import syntax_after
from marchproxy.modules.dblb.sql import Dialect, Reader, SqlSession, Syntax, Verdict, judge
from marchproxy.modules.dblb.sql.firewall import covers

_MOST_TEXTS = 4096
_MOST_BYTES = 2 << 20
_LONGEST = 16 << 10
_DIALECTS = {Protocol.POSTGRES: Dialect.POSTGRES, Protocol.MYSQL: Dialect.MYSQL}
_NOBODY = SqlSession()


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict on a text. `syntax`: how what the session sends next is read, where that is another from now on."""

    verdict: Verdict
    syntax: Syntax | None


class Court:
    """Judges by some rules, in one syntax."""

    __slots__ = ("__weakref__", "_bytes", "_old", "_reader", "_young", "rules", "syntax")

    def __init__(self, rules: tuple[SqlRule, ...], syntax: Syntax, reader: Reader) -> None:
        self.rules = rules
        self.syntax = syntax
        self._reader = reader
        self._young: dict[bytes, Ruling] = {}
        self._old: dict[bytes, Ruling] = {}
        self._bytes = 0

    def rule(self, text: bytes) -> Ruling:
        """What becomes of a text."""
        ruling = self._young.get(text)
        if ruling is not None:
            return ruling
        ruling = self._old.get(text) or self._judge(text)
        if len(text) <= _LONGEST:
            self._keep(text, ruling)
        return ruling

    def _judge(self, text: bytes) -> Ruling:
        facts = self._reader.facts(text)
        after = syntax_after(self.syntax, facts.settings)
        return Ruling(judge(self.rules, facts, _NOBODY), after if after != self.syntax else None)

    def _keep(self, text: bytes, ruling: Ruling) -> None:
        if len(self._young) >= _MOST_TEXTS or self._bytes + len(text) > _MOST_BYTES:
            self._old, self._young, self._bytes = self._young, {}, 0
        self._young[text] = ruling
        self._bytes += len(text)


@dataclass(slots=True)
class Courts:
    """The courts of a worker, and its readers, one for each syntax."""

    _courts: WeakValueDictionary[tuple[tuple[SqlRule, ...], Syntax], Court] = field(
        default_factory=WeakValueDictionary
    )
    _readers: dict[Syntax, Reader] = field(default_factory=dict)

    def of(self, rules: Sequence[SqlRule], protocol: Protocol, session: SqlSession) -> Court | None:
        """The court for a session that begins; None: no rule is for it, or the protocol has no SQL."""
        dialect = _DIALECTS.get(protocol)
        if dialect is None:
            return None
        own = tuple(replace(rule, scope=SqlScope()) for rule in rules if covers(rule.scope, session))
        return self.by(own, Syntax(dialect)) if own else None

    def by(self, rules: tuple[SqlRule, ...], syntax: Syntax) -> Court:
        """The court of rules that are for every session."""
        found = self._courts.get((rules, syntax))
        if found is None:
            found = self._courts[rules, syntax] = Court(rules, syntax, self._reader(syntax))
        return found

    def _reader(self, syntax: Syntax) -> Reader:
        reader = self._readers.get(syntax)
        if reader is None:
            reader = self._readers[syntax] = Reader(syntax)
        return reader
