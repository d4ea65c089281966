"""WHERE in sqlglot's tree, as conditions that are fixed or open. Pure."""

from sqlglot import exp

from marchproxy.modules.dblb.sql.predicate import Condition, Joined, Truth, compare, same

_WORDS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.Like: "like",
    exp.NullSafeEQ: "<=>",
}
_OPEN = (exp.Column, exp.Func, exp.Parameter, exp.SessionParameter, exp.Placeholder, exp.Query, exp.Star)


def condition_of(node: exp.Expr) -> Condition:
    """The condition of an expression; raises RecursionError when it is nested too deeply."""
    if isinstance(node, exp.Paren):
        return condition_of(node.this)
    if isinstance(node, exp.And | exp.Or):
        word = "and" if isinstance(node, exp.And) else "or"
        return Joined(word, (condition_of(node.this), condition_of(node.expression)))
    if isinstance(node, exp.Not):
        return Joined("not", (condition_of(node.this),))
    return _compared(node) if type(node) in _WORDS else _alone(node)


def _alone(node: exp.Expr) -> Truth:
    value = _value(node)
    if value is not None and not isinstance(value[0], str):
        return Truth.ALWAYS if value[0] else Truth.NEVER
    return Truth.FIXED if _constant(node) else Truth.OPEN


def _compared(node: exp.Expr) -> Truth:
    word = _WORDS[type(node)]
    left, right = node.args.get("this"), node.args.get("expression")
    if left == right and node.find(exp.Placeholder) is None:
        return same(word)
    if not _constant(node):
        return Truth.OPEN
    one, other = _value(left), _value(right)
    return Truth.FIXED if one is None or other is None else compare(word, one[0], other[0])


def _constant(node: exp.Expr) -> bool:
    # AND and OR are functions to sqlglot
    return not any(isinstance(part, _OPEN) and not isinstance(part, exp.Connector) for part in node.walk())


def _value(node: object) -> tuple[object] | None:
    if isinstance(node, exp.Boolean):
        return (bool(node.this),)
    if not isinstance(node, exp.Literal):
        return None
    text = str(node.this)
    if node.is_string:
        return (text,)
    return (int(text),) if text.isascii() and text.isdigit() and len(text) < 40 else None
