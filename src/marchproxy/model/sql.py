"""SQL firewall rules, as values. What a statement is, and which rule matches it, is the module's to find out."""

from dataclasses import dataclass, field
from enum import Enum

#: What kinds of statement there are, of PostgreSQL and of MySQL: their commands in lower case, and "ddl" for all that define
#: data or rights. "other" is a command of PostgreSQL that has no word here.
SQL_KINDS = frozenset(
    """
    alter analyze begin binlog cache call change check checkpoint checksum close cluster comment commit copy create deallocate
    declare delete discard do drop execute explain fetch flush get grant handler insert install kill listen load lock merge
    notify optimize other prepare purge refresh reindex release rename repair replace reset resignal revoke rollback savepoint
    select set show shutdown signal start stop truncate uninstall unlisten unlock update use vacuum xa
    """.split()  # noqa: SIM905 - one word a line would fill two screens
) | {"ddl", "select into", "rollback to", "prepare transaction", "commit prepared", "rollback prepared"}


class SqlMode(Enum):
    """What becomes of a statement that a rule matches; ALLOW ends the list for what it matches."""

    ALLOW = "allow"
    LOG = "log"
    WARN = "warn"
    BLOCK = "block"


class SqlTrait(Enum):
    """What a rule can look for besides names."""

    MISSING_WHERE = "missing_where"
    MULTI_STATEMENT = "multi_statement"
    TAUTOLOGY = "tautology"
    STACKED_COMMENTS = "stacked_comments"
    UNPARSABLE = "unparsable"


@dataclass(frozen=True, slots=True)
class SqlScope:
    """For whom a rule is: patterns (*, ?, […]) as in a shell; none means everyone."""

    users: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SqlRule:
    """One rule. What it leaves out does not matter to it; patterns are in lower case.

    A table's pattern without a dot is for every schema; one with a dot also takes a name that was written without a schema,
    for the search path is not known here. A column's pattern also takes whole rows. Of `traits` all must hold.
    """

    id: str
    mode: SqlMode
    kinds: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    traits: tuple[SqlTrait, ...] = ()
    scope: SqlScope = field(default=SqlScope())
