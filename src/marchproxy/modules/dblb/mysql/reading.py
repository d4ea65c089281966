"""Reading: what a statement means to the session that it is in, and whether a replica may answer it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from marchproxy.modules.dblb.mysql.functions import volatility
from marchproxy.modules.dblb.sql import Dialect, Facts, Hint, Reader, Scope, Setting, Syntax, replica_obstacle

_MOST_KEPT, _LONGEST_KEPT = 4096, 2048
#: Collations of utf8mb4, utf8mb3 and ASCII have numbers among these; of other character sets a text is read with care.
_UTF8 = frozenset({8, 11, 33, 45, 46, 63, 83, 192, 224, 255})
_CALLED_IN_SCHEMA = re.compile(rb"\.\s*(?:`[^`]*`|[\w$\x80-\xff]+)\s*\(")
_OF_THE_SERVER = re.compile(rb"(?i)\bsql_calc_found_rows\b|\bprocedure\s+analyse\b|\bvalue\s+for\b")
_ABOUT_THE_LAST = re.compile(rb"(?i)@@(?:session\.)?(?:warning|error)_count")
_NULL_RESULTS = re.compile(rb"(?i)\s*set\s+(?:session\s+)?character_set_results\s*=\s*null\s*;?\s*")
_SCHEMAS = ("information_schema.", "performance_schema.", "mysql.", "sys.")
_PLAIN = frozenset({"select", "insert", "update", "delete", "replace", "show", "explain"})
_PASSING = frozenset({"savepoint", "found_rows()", "row_count()"})
_CHANGES = re.compile(rb"(?i)\s*(?:insert|replace|update|delete)\b")
_VARIABLE = re.compile(rb"(?<![@\w])@(?!@)[\w$.`'\"]|(?i:\bget_lock\b)")
#: What is not the same on two servers when it is set to the same.
_UNEQUAL = frozenset(
    {"gtid_domain_id", "gtid_next", "server_id", "pseudo_thread_id", "insert_id", "last_insert_id"}
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What matters of a statement."""

    obstacle: str = ""
    """Why the primary must answer it; empty: a replica may."""
    follows: bool = False
    """It asks for what the statement before left behind, where that was."""
    sets: tuple[str, ...] = ()
    """Names of what it sets in the session, by a text that says the same on every server."""
    binds: str = ""
    """Why the session can have no other server connection from now on."""
    next_only: bool = False
    """It is about the next transaction."""
    writes: bool = False
    """It may write."""
    pool: str = ""
    """Whose replicas a comment asks for."""


class Readings:
    """Reads statements, and remembers what it made of them."""

    def __init__(self) -> None:
        self._readers = {utf8: Reader(Syntax(Dialect.MYSQL, utf8=utf8)) for utf8 in (True, False)}
        self._kept: dict[tuple[bytes, bool, bool], Reading] = {}

    def of(self, statement: bytes, charset: int, *, hints: bool) -> Reading:
        """What a statement means to a session whose client began with the collation `charset`."""
        key = (statement, charset in _UTF8, hints)
        known = self._kept.get(key)
        if known is None:
            facts = self._readers[key[1]].facts(statement)
            known = read(statement, facts if hints else replace(facts, hint=Hint()))
            if len(statement) <= _LONGEST_KEPT:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                self._kept[key] = known
        return known


def syntax_of(charset: int, *, odd: bool) -> Syntax:
    """How the texts of a session are read that began with the collation `charset`; `odd`: a server has a sql_mode of its own."""
    return Syntax(Dialect.MYSQL, ansi_quotes=odd, usual_backslash=not odd, utf8=charset in _UTF8)


def read(statement: bytes, facts: Facts) -> Reading:
    """What the facts of a statement mean."""
    obstacle = replica_obstacle(facts, volatility) or _by_text(statement) or _by_tables(facts)
    unknown = [name for name in sorted(facts.functions) if _is_unknown(name)]
    sets, binds = _settings(statement, facts.settings)
    if not _only_changes_rows(statement, facts):
        binds = binds or _binds(facts, unknown)
    last = bool(_ABOUT_THE_LAST.search(statement)) or bool(facts.functions & {"found_rows", "row_count"})
    shown = facts.kinds == {"show"} and bool(facts.words & {"warnings", "errors"})
    return Reading(
        obstacle=obstacle or "",
        follows=facts.statements == 1 and (shown or (last and facts.kinds == {"select"})),
        sets=sets,
        binds=binds,
        next_only=any(setting.scope is Scope.TRANSACTION for setting in facts.settings),
        pool=facts.hint.pool,
        writes=facts.writes or bool(facts.problem) or bool(unknown) or facts.statements != 1,
    )


def _is_unknown(name: str) -> bool:
    return volatility(name) is None and name not in {
        "found_rows",
        "row_count",
        "last_insert_id",
        "connection_id",
    }


def _by_text(statement: bytes) -> str | None:
    if b"@@" in statement:
        return "it asks for a server's variable"
    if _CALLED_IN_SCHEMA.search(statement):
        return "it calls a stored function"
    return "it is about this server's session" if _OF_THE_SERVER.search(statement) else None


def _by_tables(facts: Facts) -> str | None:
    named = next((table for table in facts.tables if table.startswith(_SCHEMAS)), None)
    return f"{named} tells of its own server" if named else None


def _only_changes_rows(statement: bytes, facts: Facts) -> bool:
    """Whether a text that was too long for the parser is nevertheless known to leave nothing in the session."""
    if not facts.problem or not _CHANGES.match(statement):
        return False
    return not _VARIABLE.search(statement) and b";" not in statement.rstrip(b"; \n")


def _binds(facts: Facts, unknown: Sequence[str]) -> str:
    pins = facts.pins - _PASSING
    if pins:
        return ", ".join(sorted(pins))
    if facts.problem and not (facts.kinds and facts.kinds <= _PLAIN):
        return f"a statement that was not understood: {facts.problem}"
    if facts.kinds & {"call", "do", "execute", "install"}:
        return "what was called may have left something"
    if unknown and facts.hint.target != "replica" and facts.kinds & _PLAIN:
        return f"{unknown[0]}() may have left something"
    return "serializable" if facts.isolation == "serializable" else ""


def _settings(statement: bytes, settings: Sequence[Setting]) -> tuple[tuple[str, ...], str]:
    """What is set by a text that can be repeated elsewhere; or why it cannot be repeated."""
    names: list[str] = []
    for setting in settings:
        if setting.scope is not Scope.SESSION:
            continue
        name, value = setting.name, (setting.value or "").lower()
        if setting.value is None and name != "transaction" and not _NULL_RESULTS.fullmatch(statement):
            return (), f"{name} is set to what is not a plain value"
        if name in _UNEQUAL or (name == "sql_mode" and _changes_reading(value)):
            return (), f"{name} is set"
        if name in {"tx_isolation", "transaction_isolation"} and "serializable" in value:
            return (), "serializable"
        names.append(name)
    return tuple(names), ""


def _changes_reading(mode: str) -> bool:
    return any(
        word in mode for word in ("ansi", "backslash", "oracle", "db2", "mssql", "postgresql", "maxdb")
    )
