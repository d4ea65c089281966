"""What PostgreSQL's statements leave behind in a session: settings, pins, transactions. Pure."""

from typing import Any

from marchproxy.modules.dblb.sql.facts import Draft, Scope, Setting

# Functions that write although a SELECT calls them.
_WRITERS = frozenset(
    {"nextval", "setval", "lo_create", "lo_creat", "lo_unlink", "lo_import", "lowrite", "lo_put"}
)
_ADVISORY = frozenset(
    {"pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared"}
)
_WITH_HOLD = 0x20  # CURSOR_OPT_HOLD, src/include/nodes/parsenodes.h
_PINS = {
    "ListenStmt": "listen",
    "LoadStmt": "load",
    "PrepareStmt": "prepare",
}


def command(name: str, node: dict[str, Any], draft: Draft) -> None:
    """What a command sets and holds."""
    if name in _PINS:
        draft.pins.add(_PINS[name])
    match name:
        case "VariableSetStmt":
            _set(node, draft)
        case "DiscardStmt":
            draft.discards = str(node.get("target", "DISCARD_ALL"))[8:].lower()
        case "DeclareCursorStmt" if int(node.get("options", 0)) & _WITH_HOLD:
            draft.pins.add("cursor with hold")
        case _:
            pass


def transaction(node: dict[str, Any], draft: Draft) -> str:
    """The command's word, after its modes went into the draft."""
    _modes(node.get("options", ()), draft)
    words = str(node.get("kind", "TRANS_STMT_BEGIN"))[11:].lower()
    return {"start": "begin", "prepare": "prepare transaction"}.get(words, words.replace("_", " "))


def call(function: str, node: dict[str, Any], draft: Draft) -> None:
    """What a function that is called sets and holds."""
    word = function.rpartition(".")[2]
    if word in _WRITERS:
        draft.writes = True
    if word in _ADVISORY:
        draft.pins.add("advisory lock")
    if word == "set_config":
        draft.constant = False
        values = [_plain(argument) for argument in node.get("args", ())]
        if len(values) == 3 and values[0] is not None and values[2] is not None:
            local = values[2] in {"true", "t", "on", "yes", "1"}
            scope = Scope.TRANSACTION if local else Scope.SESSION
            draft.settings.append(Setting(values[0].lower(), values[1], scope))
        else:
            draft.pins.add("set_config")


def runs(explain: dict[str, Any]) -> bool:
    """Whether EXPLAIN runs the statement: with ANALYZE that is not switched off."""
    for option in explain.get("options", ()):
        element = option["DefElem"]
        if element["defname"] == "analyze":
            value = _plain(element.get("arg"))
            return value is None or value.lower() not in {"off", "false", "0"}
    return False


def _set(node: dict[str, Any], draft: Draft) -> None:
    kind, name = str(node.get("kind", "")), str(node.get("name", "")).lower()
    scope = Scope.TRANSACTION if node.get("is_local") else Scope.SESSION
    if kind == "VAR_SET_MULTI":
        _modes(node.get("args", ()), draft)
        if name == "session characteristics":
            draft.settings.append(Setting("session characteristics", None))
        return
    if kind in {"VAR_RESET", "VAR_RESET_ALL", "VAR_SET_DEFAULT"}:
        draft.add_kind("reset")
        draft.settings.append(Setting(name or "all", None, scope, reset=True))
        return
    values = [_plain(argument) for argument in node.get("args", ())]
    plain = [value for value in values if value is not None]
    value = ", ".join(plain) if plain and len(plain) == len(values) else None
    draft.settings.append(Setting(name, value, scope))


def _modes(options: Any, draft: Draft) -> None:
    for option in options:
        element = option["DefElem"]
        value = _plain(element.get("arg"))
        if element["defname"] == "transaction_isolation":
            draft.isolation = value or ""
        elif element["defname"] == "transaction_read_only":
            draft.read_only = value not in {None, "0", "false"}


def _plain(node: Any) -> str | None:
    """The text of a constant, also under a cast."""
    while isinstance(node, dict) and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    if not isinstance(node, dict):
        return None
    const = node.get("A_Const", node)
    if "boolval" in const:
        return "true" if const["boolval"].get("boolval") else "false"
    for kind, empty in (("sval", ""), ("ival", 0), ("fval", "0")):
        if kind in const and isinstance(const[kind], dict):
            return str(const[kind].get(kind, empty))
    if "String" in const:
        return str(const["String"].get("sval", ""))
    return None
