"""Places: faults are found in the whole state that a request would lead to, and told by the request's own paths."""

import re
from collections.abc import Sequence

from marchproxy.model.problem import Problem

_ITEM = re.compile(r"(\w+)\[(\d+)\](.*)", re.DOTALL)


def as_sent(problem: Problem, kind: str, state: Sequence[str], sent: Sequence[str]) -> Problem:
    """The problem with the path that its item has in the request: `routes[5].path` of the state is `routes[1].path`.

    `state` and `sent` are the ids of the items of that kind. An item that was not sent goes by its id:
    `routes["shop"].priority`.
    """
    found = _ITEM.fullmatch(problem.path)
    if found is None or found[1] != kind or int(found[2]) >= len(state):
        return problem
    name = state[int(found[2])]
    place = str(sent.index(name)) if name in sent else f'"{name}"'
    return Problem(f"{kind}[{place}]{found[3]}", problem.message)
