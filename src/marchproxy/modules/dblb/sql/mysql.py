"""MySQL's and MariaDB's statements: the command by its first word, what is in it by sqlglot. Pure.

sqlglot takes more than MySQL does, and takes some commands for something else (SAVEPOINT a is to it a column); so it is given
only the commands it knows, and what it makes of them must be that command.
"""

import logging
import re
from typing import Final

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import ErrorLevel, SqlglotError

from marchproxy.modules.dblb.sql import mysql_effects as effects
from marchproxy.modules.dblb.sql.facts import DDL, Draft, NotUnderstood
from marchproxy.modules.dblb.sql.mysql_text import Reading
from marchproxy.modules.dblb.sql.mysql_where import condition_of
from marchproxy.modules.dblb.sql.predicate import Truth, examine

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of each command that it does not parse


class _AnsiMySQL(MySQL):
    """MySQL where a double quote begins a name."""

    class Tokenizer(MySQL.Tokenizer):  # type: ignore[misc, name-defined, unused-ignore]
        QUOTES = ["'"]  # noqa: RUF012 - sqlglot's own form
        IDENTIFIERS = ["`", '"']  # noqa: RUF012


_QUERY: Final = (exp.Query, exp.Values)
_PARSED: Final[dict[str, tuple[type[exp.Expr], ...]]] = {
    "select": _QUERY,
    "values": _QUERY,
    "table": _QUERY,
    "with": (*_QUERY, exp.Update, exp.Delete, exp.Insert),
    "insert": (exp.Insert,),
    "replace": (exp.Insert,),
    "update": (exp.Update,),
    "delete": (exp.Delete,),
    "set": (exp.Set,),
    "create": (exp.Create,),
    "drop": (exp.Drop,),
    "alter": (exp.Alter,),
    "truncate": (exp.TruncateTable,),
}
_UNREAD = frozenset(
    {
        "analyze",
        "binlog",
        "cache",
        "call",
        "change",
        "check",
        "checksum",
        "deallocate",
        "describe",
        "desc",
        "do",
        "execute",
        "explain",
        "flush",
        "get",
        "grant",
        "handler",
        "install",
        "kill",
        "load",
        "lock",
        "optimize",
        "prepare",
        "purge",
        "rename",
        "repair",
        "reset",
        "resignal",
        "revoke",
        "show",
        "shutdown",
        "signal",
        "start",
        "stop",
        "uninstall",
        "unlock",
        "use",
        "xa",
    }
)
_PLAIN = frozenset({"begin", "commit", "rollback", "rollback to", "savepoint", "release"})
_READING = (
    frozenset({"show", "describe", "desc", "explain", "use", "set", "select", "values", "table", "with"})
    | _PLAIN
)
_FIRST = re.compile(r"[\s(]*([A-Za-z]+)")
_WORD = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$]*")
_CALLED = re.compile(r"(?<![@\w$])(`[^`]+`|\"[^\"]+\"|[A-Za-z_\x80-\U0010ffff][\w$]*)\s*\(")
_COLUMNS_OF = re.compile(r"(?i)\b(?:into|table|view|index)\s+[\w$.`]+\s*\(")
_QUOTED = re.compile(r"`(?:[^`]|``)*+`|'(?:[^'\\]|\\.|'')*+'|\"(?:[^\"\\]|\\.|\"\")*+\"", re.DOTALL)
_QUOTED_ANSI = re.compile(r"`(?:[^`]|``)*+`|'(?:[^'\\]|\\.|'')*+'|\"(?:[^\"]|\"\")*+\"", re.DOTALL)
_DML_NAMES = {exp.Insert: "insert", exp.Update: "update", exp.Delete: "delete"}


def read_mysql(reading: Reading, *, ansi_quotes: bool) -> Draft:
    """The facts of one reading of a text; what is not understood is its `problem`, and the rest is still read."""
    draft = Draft(statements=len(reading.statements))
    for statement in reading.statements:
        try:
            _read(statement, draft, ansi_quotes=ansi_quotes)
        except NotUnderstood as problem:
            draft.problem = draft.problem or str(problem)
            draft.words |= words_of(statement)
    draft.constant = draft.constant and draft.kinds <= {"select", "insert", "replace", "update", "delete"}
    return draft


def words_of(text: str) -> set[str]:
    """Every word in the text, wherever it stands."""
    return {word.lower() for word in _WORD.findall(text)}


def _read(statement: str, draft: Draft, *, ansi_quotes: bool) -> None:
    first = _FIRST.match(statement)
    command = first[1].lower() if first else ""
    kind = effects.kind_of(command, statement)
    if command not in _PARSED and command not in _UNREAD and command not in _PLAIN:
        raise NotUnderstood(f"{command or 'this'} is not a command that is known")
    draft.add_kind(kind)
    draft.writes = draft.writes or kind in DDL or kind not in _READING
    bare = _COLUMNS_OF.sub(";(", _without_strings(statement, ansi_quotes=ansi_quotes))
    draft.functions |= {name.strip('`"').lower() for name in _CALLED.findall(bare)} - effects.NOT_CALLS
    effects.by_words(command, bare, draft)
    if command in _UNREAD and kind not in _PLAIN:
        draft.words |= words_of(statement)
    if command in _PARSED:
        tree = _tree(command, statement, ansi_quotes=ansi_quotes)
        for node in tree.walk():
            _node(node, draft)
        if command == "set":
            effects.settings(tree, draft)


def _without_strings(statement: str, *, ansi_quotes: bool) -> str:
    names = '`"' if ansi_quotes else "`"
    quoted = _QUOTED_ANSI if ansi_quotes else _QUOTED
    return quoted.sub(lambda found: found[0] if found[0][0] in names else "''", statement)


def _tree(command: str, statement: str, *, ansi_quotes: bool) -> exp.Expr:
    dialect = _AnsiMySQL() if ansi_quotes else MySQL()
    if command == "replace":  # the same grammar, save for the word
        statement = re.sub(r"(?i)^\s*replace(\s+(?:low_priority|delayed)\b)?", "insert", statement)
    try:
        tokens = dialect.tokenize(statement)
        trees = dialect.parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, statement)
    except SqlglotError as error:
        raise NotUnderstood(str(error).partition("\n")[0]) from error
    except RecursionError as error:
        raise NotUnderstood("nested too deeply") from error
    except Exception as error:  # what a third-party parser trips over is a text it does not understand
        raise NotUnderstood(f"the parser failed: {error!r}") from error
    tree = trees[0] if len(trees) == 1 else None
    if tree is None or not isinstance(tree, _PARSED[command]):
        raise NotUnderstood(f"this form of {command} is not known")
    return tree


def _node(node: exp.Expr, draft: Draft) -> None:
    for form, kind in _DML_NAMES.items():
        if isinstance(node, form):
            _change(kind, node, draft)
    match node:
        case exp.Where():
            _where(node, draft)
        case exp.Command():
            raise NotUnderstood("a command in a statement")
        case exp.Lock():
            draft.locks = True
        case exp.Parameter():
            draft.pins.add("user variable")
        case exp.TemporaryProperty():
            draft.pins.add("temporary table")
        case _:
            _names(node, draft)


def _names(node: exp.Expr, draft: Draft) -> None:
    match node:
        case exp.Table() if isinstance(node.this, exp.Identifier):
            draft.tables.add(f"{node.db}.{node.name}".lower() if node.db else node.name.lower())
        case exp.Star():
            draft.columns.add("*")
        case exp.Column():
            draft.columns.add(node.name.lower())
        case exp.Schema():
            draft.columns.update(
                part.name.lower() for part in node.expressions if isinstance(part, exp.Identifier)
            )
        case _:
            pass


def _change(kind: str, node: exp.Expr, draft: Draft) -> None:
    draft.writes = True
    if "replace" not in draft.kinds or kind != "insert":
        draft.kinds.add(kind)
    if kind == "insert" and not isinstance(node.this, exp.Schema):
        draft.columns.add("*")
    if kind != "insert" and node.args.get("where") is None:
        draft.unfiltered.add(kind)


def _where(where: exp.Where, draft: Draft) -> None:
    draft.filtered = True
    try:
        finding = examine(condition_of(where.this))
    except RecursionError as error:
        raise NotUnderstood("nested too deeply") from error
    draft.tautology = draft.tautology or finding.tautology
    draft.constant = draft.constant and finding.constant
    if finding.truth in {Truth.ALWAYS, Truth.FIXED}:
        kind = next((kind for form, kind in _DML_NAMES.items() if isinstance(where.parent, form)), "insert")
        if kind != "insert":
            draft.unfiltered.add(kind)
