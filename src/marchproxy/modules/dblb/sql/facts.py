"""What is known of a query's text. Values only; nothing here reads SQL."""

from dataclasses import dataclass, field
from enum import Enum

#: Commands that define data or rights: each has the kind "ddl" besides its own.
DDL = frozenset({"alter", "comment", "create", "drop", "grant", "rename", "revoke", "truncate"})


class NotUnderstood(Exception):
    """The text is not in the grammar, or too large for the parser. The text says why."""


class Dialect(Enum):
    """Whose grammar a text is read by."""

    POSTGRES = "postgres"
    MYSQL = "mysql"


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a session's server reads text; a session that changes one of these is read by another Syntax."""

    dialect: Dialect
    ansi_quotes: bool = False
    """MySQL's sql_mode ANSI_QUOTES: a double quote begins a name, not a string."""
    usual_backslash: bool = True
    """False with standard_conforming_strings=off or NO_BACKSLASH_ESCAPES: a text with a backslash is then not read."""
    utf8: bool = True
    """False when the client's encoding is another: a text that is not ASCII is then not read."""


class Scope(Enum):
    """How long a setting lasts."""

    SESSION = "session"
    TRANSACTION = "transaction"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Setting:
    """A server variable that the text sets; `value` is None when it is reset or not a plain value."""

    name: str
    value: str | None
    scope: Scope = Scope.SESSION
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Hint:
    """What a comment `/* marchproxy: … */` asks for: `primary`, `replica` or `pool=name`."""

    target: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a text of one or more statements does. All names are in lower case.

    `problem` says why a text, or a part of it, was not understood: nothing may then be concluded from what the other
    fields lack.
    """

    kinds: frozenset[str] = frozenset()
    """Commands, nested ones included (a writing CTE): select, insert, begin, …; and ddl."""
    statements: int = 0
    tables: frozenset[str] = frozenset()
    """As written, with the schema where there is one; names of common table expressions are among them."""
    columns: frozenset[str] = frozenset()
    """Without their table; "*" when whole rows are read or written."""
    functions: frozenset[str] = frozenset()
    """As written; without pg_catalog."""
    filtered: bool = False
    """Some statement has a WHERE."""
    unfiltered: frozenset[str] = frozenset()
    """`update`, `delete`: one of these has no WHERE, or one that is always true."""
    tautology: bool = False
    """A WHERE holds a condition that is fixed, elsewhere than in its outermost AND: OR 1=1."""
    locks: bool = False
    writes: bool = False
    """Known to write; False says nothing of what its functions do."""
    settings: tuple[Setting, ...] = ()
    pins: frozenset[str] = frozenset()
    """Why the session must keep its server from now on."""
    discards: str = ""
    """DISCARD's word: all, plans, temp, sequences."""
    isolation: str = ""
    """What a transaction is to have: serializable, repeatable read, …"""
    read_only: bool | None = None
    comments: int = 0
    nested_comments: bool = False
    hint: Hint = field(default=Hint())
    problem: str = ""
    words: frozenset[str] = frozenset()
    """Every word of a text whose names were not told apart: any of them may be a table, a column or a function."""
    constant: bool = True
    """False when other constants in the same text could give other facts; such facts are not shared by shape."""

    @property
    def stacked_comments(self) -> bool:
        """More than one comment, or one in another."""
        return self.comments > 1 or self.nested_comments


@dataclass(slots=True)
class Draft:
    """Facts under way."""

    kinds: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    unfiltered: set[str] = field(default_factory=set)
    pins: set[str] = field(default_factory=set)
    settings: list[Setting] = field(default_factory=list)
    statements: int = 0
    filtered: bool = False
    tautology: bool = False
    locks: bool = False
    writes: bool = False
    discards: str = ""
    isolation: str = ""
    read_only: bool | None = None
    problem: str = ""
    words: set[str] = field(default_factory=set)
    constant: bool = True

    def add_kind(self, kind: str) -> None:
        """One more command; those that define data write."""
        self.kinds.add(kind)
        if kind in DDL:
            self.kinds.add("ddl")
            self.writes = True

    def join(self, other: "Draft") -> None:
        """This, or the other: what either says counts."""
        self.kinds |= other.kinds
        self.tables |= other.tables
        self.columns |= other.columns
        self.functions |= other.functions
        self.unfiltered |= other.unfiltered
        self.pins |= other.pins
        self.words |= other.words
        self.settings.extend(setting for setting in other.settings if setting not in self.settings)
        self.statements = max(self.statements, other.statements)
        self.filtered |= other.filtered
        self.tautology |= other.tautology
        self.locks |= other.locks
        self.writes |= other.writes
        self.constant &= other.constant
        self.problem = self.problem or other.problem
        if (self.isolation, self.read_only) != (other.isolation, other.read_only):
            self.problem = self.problem or "the transaction depends on a versioned comment"

    def finish(self) -> Facts:
        """The facts so far, as a value."""
        return Facts(
            kinds=frozenset(self.kinds),
            statements=self.statements,
            tables=frozenset(self.tables),
            columns=frozenset(self.columns),
            functions=frozenset(self.functions),
            filtered=self.filtered,
            unfiltered=frozenset(self.unfiltered),
            tautology=self.tautology,
            locks=self.locks,
            writes=self.writes,
            settings=tuple(self.settings),
            pins=frozenset(self.pins),
            discards=self.discards,
            isolation=self.isolation,
            read_only=self.read_only,
            problem=self.problem,
            words=frozenset(self.words),
            constant=self.constant,
        )
