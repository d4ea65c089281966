"""The SQL firewall: rules as values, and what they say of a statement. Pure.

A rule matches when all that it names matches; the first rule that matches decides. Where names could not be told apart, any
word of the text may be the name, so a text that is not understood does not slip past a rule about a table. It does slip past
rules about commands: who relies on these blocks what is `unparsable` too. What views and functions do on the server is not seen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from marchproxy.modules.dblb.sql.facts import Facts


class Mode(Enum):
    """What becomes of a statement that a rule matches; ALLOW ends the list for what it matches."""

    ALLOW = "allow"
    LOG = "log"
    WARN = "warn"
    BLOCK = "block"


class Trait(Enum):
    """What a rule can look for besides names."""

    MISSING_WHERE = "missing_where"
    MULTI_STATEMENT = "multi_statement"
    TAUTOLOGY = "tautology"
    STACKED_COMMENTS = "stacked_comments"
    UNPARSABLE = "unparsable"


@dataclass(frozen=True, slots=True)
class SqlSession:
    """Who sends a statement, and to which database."""

    user: str = ""
    database: str = ""
    application: str = ""


@dataclass(frozen=True, slots=True)
class SqlScope:
    """For whom a rule is: patterns (*, ?, […]) as in a shell; none means everyone."""

    users: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()

    def covers(self, session: SqlSession) -> bool:
        """Whether the session is among them."""
        pairs = (
            (session.user, self.users),
            (session.database, self.databases),
            (session.application, self.applications),
        )
        return all(
            not patterns or any(fnmatchcase(name, one) for one in patterns) for name, patterns in pairs
        )


@dataclass(frozen=True, slots=True)
class SqlRule:
    """One rule. What it leaves out does not matter to it; patterns are in lower case.

    A table's pattern without a dot is for every schema; one with a dot also takes a name that was written without a schema,
    for the search path is not known here. A column's pattern also takes whole rows.
    """

    id: str
    mode: Mode
    kinds: frozenset[str] = frozenset()
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    traits: frozenset[Trait] = frozenset()
    """All of them must hold."""
    scope: SqlScope = field(default=SqlScope())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the firewall says. `words` are for the log and for the client; empty when no rule matched."""

    rule: str = ""
    mode: Mode = Mode.ALLOW
    words: str = ""

    @property
    def blocked(self) -> bool:
        """Whether the statement must not reach a server."""
        return self.mode is Mode.BLOCK


ALLOWED = Verdict()


def judge(rules: Sequence[SqlRule], facts: Facts, session: SqlSession) -> Verdict:
    """The verdict of the first rule that matches; without one the statement is allowed."""
    for rule in rules:
        if not rule.scope.covers(session):
            continue
        found = _matched(rule, facts)
        if found is not None:
            what = ", ".join(found) or "every statement"
            return Verdict(rule.id, rule.mode, f"firewall rule {rule.id}: {what}")
    return ALLOWED


def _matched(rule: SqlRule, facts: Facts) -> list[str] | None:
    found: list[str] = []
    if rule.kinds:
        kinds = sorted(rule.kinds & facts.kinds)
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


def _trait(trait: Trait, facts: Facts) -> str:
    match trait:
        case Trait.MISSING_WHERE:
            return f"{'/'.join(sorted(facts.unfiltered))} without WHERE" if facts.unfiltered else ""
        case Trait.MULTI_STATEMENT:
            return f"{facts.statements} statements in one" if facts.statements > 1 else ""
        case Trait.TAUTOLOGY:
            return "a condition that is always true" if facts.tautology else ""
        case Trait.STACKED_COMMENTS:
            return f"{facts.comments} comments" if facts.stacked_comments else ""
        case Trait.UNPARSABLE:
            return f"not understood ({facts.problem})" if facts.problem else ""
