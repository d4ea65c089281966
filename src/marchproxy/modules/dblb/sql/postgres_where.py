"""WHERE in PostgreSQL's parse tree, as conditions that are fixed or open. Pure."""

from typing import Any

from marchproxy.modules.dblb.sql.predicate import Condition, Joined, Truth, compare, same

_OPEN = frozenset(
    {"ColumnRef", "FuncCall", "ParamRef", "SubLink", "SQLValueFunction", "CurrentOfExpr", "SetToDefault"}
)
_JOINS = {"AND_EXPR": "and", "OR_EXPR": "or", "NOT_EXPR": "not"}


def condition_of(node: dict[str, Any]) -> Condition:
    """The condition of an expression node; raises RecursionError when it is nested too deeply."""
    if "BoolExpr" in node:
        expression = node["BoolExpr"]
        parts = tuple(condition_of(part) for part in expression["args"])
        return Joined(_JOINS[expression.get("boolop", "AND_EXPR")], parts)
    if "A_Const" in node:
        return _constant_truth(node["A_Const"])
    if "A_Expr" in node:
        expression = node["A_Expr"]
        left, right = expression.get("lexpr"), expression.get("rexpr")
        word = _operator(expression)
        if left is not None and right is not None and _bare(left) == _bare(right):
            return same(word)
        if not _constant(node):
            return Truth.OPEN
        one, other = _literal(left), _literal(right)
        return Truth.FIXED if one is None or other is None else compare(word, one[0], other[0])
    return Truth.FIXED if _constant(node) else Truth.OPEN


def _constant_truth(const: dict[str, Any]) -> Truth:
    if "boolval" in const:
        return Truth.ALWAYS if const["boolval"].get("boolval") else Truth.NEVER
    return Truth.NEVER if const.get("isnull") else Truth.FIXED


def _operator(expression: dict[str, Any]) -> str:
    if expression.get("kind") in {"AEXPR_LIKE", "AEXPR_ILIKE"}:
        return "like"
    if expression.get("kind", "AEXPR_OP") != "AEXPR_OP":
        return str(expression["kind"])
    return str(expression["name"][-1]["String"]["sval"])


def _literal(node: Any) -> tuple[object] | None:
    const = node.get("A_Const") if isinstance(node, dict) else None
    if not isinstance(const, dict):
        return None
    if "ival" in const:
        return (const["ival"].get("ival", 0),)
    if "sval" in const:
        return (const["sval"].get("sval", ""),)
    if "boolval" in const:
        return (const["boolval"].get("boolval", False),)
    return None


def _constant(root: Any) -> bool:
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if not _OPEN.isdisjoint(value):
                return False
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    return True


def _bare(value: Any) -> Any:
    """The same without where it stood in the text."""
    if isinstance(value, dict):
        return {key: _bare(part) for key, part in value.items() if key != "location"}
    return [_bare(part) for part in value] if isinstance(value, list) else value
