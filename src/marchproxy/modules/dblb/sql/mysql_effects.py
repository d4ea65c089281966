"""What MySQL's statements leave behind in a session: settings, pins, transactions. Pure."""

import re

from sqlglot import exp

from marchproxy.modules.dblb.sql.facts import Draft, Scope, Setting

#: Words before a parenthesis that are no functions.
NOT_CALLS = frozenset(
    {
        "all",
        "and",
        "any",
        "as",
        "between",
        "by",
        "case",
        "cross",
        "div",
        "else",
        "except",
        "exists",
        "from",
        "group",
        "having",
        "in",
        "index",
        "inner",
        "intersect",
        "interval",
        "into",
        "is",
        "join",
        "key",
        "like",
        "limit",
        "not",
        "on",
        "or",
        "order",
        "outer",
        "over",
        "partition",
        "primary",
        "references",
        "regexp",
        "rlike",
        "select",
        "set",
        "some",
        "straight_join",
        "then",
        "union",
        "unique",
        "update",
        "using",
        "values",
        "when",
        "where",
        "with",
        "xor",
    }
)
_PINS = {
    "lock": "lock tables",
    "prepare": "prepare",
    "handler": "handler",
    "savepoint": "savepoint",
    "xa": "xa",
}
_ISOLATION = re.compile(
    r"(?i)isolation\s+level\s+(read\s+uncommitted|read\s+committed|repeatable\s+read|serializable)"
)
_ACCESS = re.compile(r"(?i)\bread\s+(only|write)\b")
_TRANSACTION = re.compile(r"(?i)\s*set\s+(session\s|local\s|global\s)?\s*transaction\b")
_SECOND = re.compile(r"\s*[A-Za-z]+\s+([A-Za-z_`$][\w`$]*)")


def kind_of(command: str, statement: str) -> str:
    """The kind of a statement whose first word this is."""
    second = _second(statement)
    match command:
        case "start" if second == "transaction":
            return "begin"
        case "desc" | "describe":
            return "explain"
        case "with" | "values" | "table":
            return "select"
        case "rollback" if re.match(r"(?i)\s*rollback\s+(work\s+)?to\b", statement):
            return "rollback to"
        case _:
            return command


def by_words(command: str, bare: str, draft: Draft) -> None:
    """What shows without grammar, in a statement whose strings are empty."""
    if command in _PINS:
        draft.pins.add(_PINS[command])
    draft.pins.update(f"{name}()" for name in draft.functions & {"get_lock", "found_rows", "row_count"})
    if re.search(r"(?<![@\w])@(?!@)[\w$.`'\"]", bare):
        draft.pins.add("user variable")
    if command in {"set", "start"}:
        isolation, access = _ISOLATION.search(bare), _ACCESS.search(bare)
        draft.isolation = " ".join(isolation[1].lower().split()) if isolation else draft.isolation
        draft.read_only = access[1].lower() == "only" if access else draft.read_only
    if command == "set" and (found := _TRANSACTION.match(bare)):
        scope = {"session": Scope.SESSION, "local": Scope.SESSION, "global": Scope.GLOBAL}.get(
            (found[1] or "").strip().lower()
        )
        draft.settings.append(Setting("transaction", None, scope or Scope.TRANSACTION))
        draft.writes = draft.writes or scope is Scope.GLOBAL
    if command == "use":
        draft.settings.append(Setting("database", _second(bare).strip("`") or None))
    if command in {"explain", "desc", "describe"} and re.match(r"(?i)\s*\w+\s+analyze\b", bare):
        draft.writes = True  # it is run, and not read here
    if draft.functions & {"nextval", "setval"}:
        draft.writes = True


def settings(tree: exp.Expr, draft: Draft) -> None:
    """What a SET sets."""
    for item in tree.expressions:
        kind = str(item.args.get("kind") or "").lower()
        scope = Scope.GLOBAL if kind in {"global", "persist", "persist_only"} else Scope.SESSION
        if kind == "transaction":
            continue  # read by its words: the tree does not tell SESSION from the next transaction only
        if isinstance(item.this, exp.EQ):
            _assignment(item.this, scope, draft)
        else:
            draft.settings.append(
                Setting(kind or "unknown", item.this.name.lower() if item.this else None, scope)
            )


def _assignment(assignment: exp.EQ, scope: Scope, draft: Draft) -> None:
    target, value = assignment.this, assignment.expression
    if isinstance(target, exp.Parameter):
        draft.pins.add("user variable")
        return
    name = target.name.lower()
    if isinstance(target, exp.SessionParameter) and str(target.args.get("kind") or "").lower() == "global":
        scope = Scope.GLOBAL
    plain = value.name if isinstance(value, exp.Literal | exp.Column | exp.Var) else None
    if isinstance(value, exp.Boolean):
        plain = "1" if value.this else "0"
    draft.settings.append(Setting(name, plain, scope))
    if scope is Scope.GLOBAL:
        draft.writes = True
    if name == "sql_log_bin":
        draft.pins.add("sql_log_bin")


def _second(statement: str) -> str:
    found = _SECOND.match(statement)
    return found[1].lower() if found else ""
