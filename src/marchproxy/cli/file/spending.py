"""What the file says of keys and money that is allowed, but hardly meant: names that nobody has, budgets and models without prices."""

from collections.abc import Iterator

from marchproxy.kit.settings import Located, Problem
from marchproxy.model.ai import ANY_MODEL, Allowance, AllowanceScope
from marchproxy.model.model_names import ModelPatterns
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.plan import compile_plan, unpriced


def spending_warnings(state: DesiredState, located: Located) -> Iterator[Problem]:
    """Each at the line of its allowance, or model. Where the document has no key at all, there may be a file of them."""
    keys = state.virtual_keys
    holders = {
        AllowanceScope.KEY: {key.key_id for key in keys},
        AllowanceScope.USER: {key.user for key in keys},
        AllowanceScope.TEAM: {key.team for key in keys},
    }
    models = [model for route in state.routes if route.ai is not None for model in route.ai.models]
    offered = ModelPatterns(model.name for model in models)
    for index, allowance in enumerate(state.allowances):
        scope, name = allowance.scope, allowance.subject
        where = ("allowances", index, "target")
        if name == ANY_MODEL:
            pass
        elif keys and scope in holders and name not in holders[scope]:
            yield located.problem(where, f'no virtual key is of {scope.value} "{name}"')
        elif scope is AllowanceScope.MODEL and name not in offered:
            yield located.problem(where, f'no route offers a model "{name}" by that name')
        if not state.prices and (key := _budget(allowance)):
            yield located.problem(("allowances", index, key), "without `prices` nothing costs anything")
    for route, model, words in unpriced(state, compile_plan(state)):
        yield located.problem(("routes", route, "ai", "models", model, "name"), words)


def _budget(allowance: Allowance) -> str:
    return next((key for key in ("budget_day", "budget_month") if getattr(allowance, key)), "")
