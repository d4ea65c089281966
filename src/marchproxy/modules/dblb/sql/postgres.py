"""PostgreSQL's statements, by its own grammar (libpg_query through pgparse). Pure.

https://github.com/pganalyze/libpg_query: names of nodes and fields are those of PostgreSQL's parse tree.
"""

from typing import Any, Final

import pgparse

from marchproxy.modules.dblb.sql import postgres_effects as effects
from marchproxy.modules.dblb.sql.facts import Draft, NotUnderstood
from marchproxy.modules.dblb.sql.postgres_where import condition_of
from marchproxy.modules.dblb.sql.predicate import Truth, examine

_KINDS: Final = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "merge",
    "CopyStmt": "copy",
    "VariableSetStmt": "set",
    "VariableShowStmt": "show",
    "TransactionStmt": "begin",
    "ConstraintsSetStmt": "set",
    "CallStmt": "call",
    "DoStmt": "do",
    "ExplainStmt": "explain",
    "PrepareStmt": "prepare",
    "ExecuteStmt": "execute",
    "DeallocateStmt": "deallocate",
    "DeclareCursorStmt": "declare",
    "FetchStmt": "fetch",
    "ClosePortalStmt": "close",
    "ListenStmt": "listen",
    "UnlistenStmt": "unlisten",
    "NotifyStmt": "notify",
    "LockStmt": "lock",
    "DiscardStmt": "discard",
    "LoadStmt": "load",
    "VacuumStmt": "vacuum",
    "CheckPointStmt": "checkpoint",
    "ClusterStmt": "cluster",
    "ReindexStmt": "reindex",
    "RefreshMatViewStmt": "refresh",
    "TruncateStmt": "truncate",
    "GrantStmt": "grant",
    "GrantRoleStmt": "grant",
    "RenameStmt": "alter",
    "CommentStmt": "comment",
    "IndexStmt": "create",
    "ViewStmt": "create",
    "RuleStmt": "create",
    "DefineStmt": "create",
    "CompositeTypeStmt": "create",
    "ImportForeignSchemaStmt": "create",
    "ReassignOwnedStmt": "alter",
    "SecLabelStmt": "comment",
}
_WRITERS = frozenset(
    {
        "insert",
        "update",
        "delete",
        "merge",
        "call",
        "do",
        "notify",
        "vacuum",
        "cluster",
        "reindex",
        "refresh",
        "lock",
    }
    | {"execute"}  # of what was prepared nothing is known here
)
_DML = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_NAMED_BY_LISTS = frozenset(
    {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE", "OBJECT_SEQUENCE"}
)


def read_postgres(text: str) -> Draft:
    """The facts of a text without a NUL. Raises NotUnderstood."""
    try:
        statements = pgparse.parse(text)
        draft = Draft(statements=len(statements))
        for statement in statements:
            _read_one(statement["stmt"], draft)
    except pgparse.PGQueryError as error:
        raise NotUnderstood(str(error)) from error
    except RecursionError as error:
        raise NotUnderstood("nested too deeply") from error
    draft.constant = draft.constant and bool(statements) and all(s["stmt"].keys() <= _DML for s in statements)
    return draft


def postgres_shape(text: str) -> str | None:
    """The text with $1, $2 … for its constants; None when there is none.

    A text with parameters has none: $1 = $2 is not 1 = 1.
    """
    if "$" in text:
        return None
    try:
        return str(pgparse.normalize(text))
    except pgparse.PGQueryError:
        return None


def _read_one(root: dict[str, Any], draft: Draft) -> None:
    explain = root.get("ExplainStmt")
    if explain is None or effects.runs(explain):
        _read(root, draft)
        return
    planned = Draft()  # not run: its names count, what it would do does not
    _read(explain["query"], planned)
    draft.add_kind("explain")
    draft.tables |= planned.tables
    draft.columns |= planned.columns
    draft.functions |= planned.functions


def _read(root: dict[str, Any], draft: Draft) -> None:
    aliases: set[str] = set()
    lone: set[str] = set()
    stack: list[tuple[str, Any]] = list(root.items())
    while stack:
        name, value = stack.pop()
        if isinstance(value, list):
            stack.extend((name, item) for item in value)
            continue
        if not isinstance(value, dict):
            continue
        if name.endswith("Stmt") and name[0].isupper():
            _command(name, value, draft, nested=value is not root.get(name))
        _node(name, value, draft)
        _names(name, value, draft, lone)
        if "relname" in value:
            aliases.add(value["relname"])
        if "aliasname" in value:
            aliases.add(value["aliasname"])
        stack.extend(value.items())
    if lone & aliases:
        draft.columns.add("*")


def _command(name: str, node: dict[str, Any], draft: Draft, *, nested: bool) -> None:
    if nested and name == "VariableSetStmt":  # CREATE FUNCTION … SET: not the session's
        return
    kind = _KINDS.get(name) or next(
        (word for word in ("create", "alter", "drop") if name.lower().startswith(word)), "other"
    )
    if name == "TransactionStmt":
        kind = effects.transaction(node, draft)
    if name == "GrantStmt" and not node.get("is_grant"):
        kind = "revoke"
    if name == "VacuumStmt" and not node.get("is_vacuumcmd"):
        kind = "analyze"
    draft.add_kind(kind)
    draft.writes = draft.writes or kind in _WRITERS or kind in {"other", "analyze"}
    if kind in {"update", "delete"} and "whereClause" not in node:
        draft.unfiltered.add(kind)
    if name == "CopyStmt":
        draft.writes = draft.writes or bool(
            node.get("is_from") or node.get("is_program") or node.get("filename")
        )
        if "relation" in node and "attlist" not in node:
            draft.columns.add("*")
    if name == "InsertStmt" and "cols" not in node:
        draft.columns.add("*")
    effects.command(name, node, draft)


def _node(name: str, node: dict[str, Any], draft: Draft) -> None:
    if "whereClause" in node:
        draft.filtered = True
        finding = examine(condition_of(node["whereClause"]))
        draft.tautology = draft.tautology or finding.tautology
        draft.constant = draft.constant and finding.constant
        if finding.truth in {Truth.ALWAYS, Truth.FIXED} and name in {"UpdateStmt", "DeleteStmt"}:
            draft.unfiltered.add(_KINDS[name])
    if "lockingClause" in node:
        draft.locks = True
    if "intoClause" in node:
        draft.writes = True
        draft.kinds.add("select into")
    if name == "MergeWhenClause" and node.get("commandType", "") in {
        "CMD_DELETE",
        "CMD_UPDATE",
        "CMD_INSERT",
    }:
        draft.kinds.add(node["commandType"][4:].lower())
    if "funcname" in node and "funcformat" in node:
        function = _joined(node["funcname"])
        draft.functions.add(function)
        effects.call(function, node, draft)


def _names(name: str, node: dict[str, Any], draft: Draft, lone: set[str]) -> None:
    if "relname" in node:
        schema = node.get("schemaname", "")
        draft.tables.add(f"{schema}.{node['relname']}".lower() if schema else node["relname"].lower())
        if node.get("relpersistence") == "t" or schema.startswith("pg_temp"):
            draft.pins.add("temporary table")
    if name == "ColumnRef":
        _column(node, draft, lone)
    else:
        _lists(name, node, draft)


def _column(node: dict[str, Any], draft: Draft, lone: set[str]) -> None:
    fields = [field["String"]["sval"] for field in node["fields"] if "String" in field]
    draft.columns.add("*" if "A_Star" in node["fields"][-1] else fields[-1].lower())
    if len(node["fields"]) == 1:
        lone.update(fields)


def _lists(name: str, node: dict[str, Any], draft: Draft) -> None:
    match name:
        case "DropStmt" if node.get("removeType") in _NAMED_BY_LISTS:
            draft.tables.update(_joined(item["List"]["items"]) for item in node["objects"])
        case "CommentStmt" | "SecLabelStmt" if node.get("objtype") in _NAMED_BY_LISTS:
            draft.tables.add(_joined(node["object"]["List"]["items"]))
        case "InsertStmt":
            draft.columns.update(column["ResTarget"]["name"].lower() for column in node.get("cols", ()))
        case "UpdateStmt" | "OnConflictClause" | "MergeWhenClause" | "onConflictClause":
            targets = (target.get("ResTarget", {}) for target in node.get("targetList", ()))
            draft.columns.update(target["name"].lower() for target in targets if "name" in target)
        case "CopyStmt":
            draft.columns.update(_joined([column]) for column in node.get("attlist", ()))
        case "JoinExpr":
            natural = ["*"] if node.get("isNatural") else []
            draft.columns.update(natural, (_joined([column]) for column in node.get("usingClause", ())))
        case "A_Expr" if len(node.get("name", ())) > 1:
            draft.functions.add("operator " + _joined(node["name"]))
        case _:
            pass


def _joined(names: list[dict[str, Any]]) -> str:
    words = [name["String"]["sval"].lower() for name in names if "String" in name]
    return ".".join(words[1:] if len(words) > 1 and words[0] == "pg_catalog" else words)
