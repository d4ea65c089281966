"""The SQL firewall: rules as values, and what they say of a statement. Pure.

A rule matches when all that it names matches; the first rule that matches decides. Where names could not be told apart, any
word of the text may be the name, so a text that is not understood does not slip past a rule about a table. It does slip past
rules about commands: who relies on these blocks what is `unparsable` too. What views and functions do on the server is not seen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from marchproxy.model.sql import SqlMode, SqlRule, SqlScope, SqlTrait
from marchproxy.modules.dblb.sql.facts import Facts


@dataclass(frozen=True, slots=True)
class SqlSession:
    """Who sends a statement, and to which database."""

    user: str = ""
    database: str = ""
    application: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the firewall says. `words` are for the log and for the client; empty when no rule matched."""

    rule: str = ""
    mode: SqlMode = SqlMode.ALLOW
    words: str = ""

    @property
    def blocked(self) -> bool:
        """Whether the statement must not reach a server."""
        return self.mode is SqlMode.BLOCK


ALLOWED = Verdict()


def judge(rules: Sequence[SqlRule], facts: Facts, session: SqlSession) -> Verdict:
    """The verdict of the first rule that matches; without one the statement is allowed."""
    for rule in rules:
        if not covers(rule.scope, session):
            continue
        found = _matched(rule, facts)
        if found is not None:
            what = ", ".join(found) or "every statement"
            return Verdict(rule.id, rule.mode, f"firewall rule {rule.id}: {what}")
    return ALLOWED


def covers(scope: SqlScope, session: SqlSession) -> bool:
    """Whether a rule is for this session."""
    pairs = (
        (session.user, scope.users),
        (session.database, scope.databases),
        (session.application, scope.applications),
    )
    return all(not patterns or any(fnmatchcase(name, one) for one in patterns) for name, patterns in pairs)


def _matched(rule: SqlRule, facts: Facts) -> list[str] | None:
    found: list[str] = []
    if rule.kinds:
        kinds = sorted(facts.kinds.intersection(rule.kinds))
        if not kinds:
            return None
        found.append(f"statement {kinds[0]}")
    names = (
        ("table", rule.tables, facts.tables),
        ("column", rule.columns, facts.columns),
        ("function", rule.functions, facts.functions),
    )
    for what, patterns, candidates in names:
        if patterns:
            name = _first(what, patterns, candidates | facts.words)
            if name is None:
                return None
            found.append(f"{what} {name}")
    for trait in sorted(rule.traits, key=lambda trait: trait.value):
        words = _trait(trait, facts)
        if not words:
            return None
        found.append(words)
    return found


def _first(what: str, patterns: Iterable[str], names: frozenset[str]) -> str | None:
    for name in sorted(names):
        for pattern in patterns:
            if fnmatchcase(name, pattern) or (what == "column" and name == "*"):
                return name
            short = name.rpartition(".")[2]
            if what != "column" and "." not in pattern and fnmatchcase(short, pattern):
                return name
            if what != "column" and "." not in name and fnmatchcase(name, pattern.rpartition(".")[2]):
                return name
    return None


def _trait(trait: SqlTrait, facts: Facts) -> str:
    match trait:
        case SqlTrait.MISSING_WHERE:
            return f"{'/'.join(sorted(facts.unfiltered))} without WHERE" if facts.unfiltered else ""
        case SqlTrait.MULTI_STATEMENT:
            return f"{facts.statements} statements in one" if facts.statements > 1 else ""
        case SqlTrait.TAUTOLOGY:
            return "a condition that is always true" if facts.tautology else ""
        case SqlTrait.STACKED_COMMENTS:
            return f"{facts.comments} comments" if facts.stacked_comments else ""
        case SqlTrait.UNPARSABLE:
            return f"not understood ({facts.problem})" if facts.problem else ""
