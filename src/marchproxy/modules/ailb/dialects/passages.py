"""Passages: all that a model reads of a request, and who says it: what a guardrail looks at. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from marchproxy.modules.ailb.dialects import prompt
from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation

#: The role of what describes tools, and the form of an answer: it is written by whoever offers them.
TOOLS = "tools"
_SYSTEM = frozenset({"system", "instructions"})
#: Names, which providers check, and no prose.
_NOT_PROSE = frozenset({"name", "type"})
#: How a provider reaches the server of a tool, which the model is not told: a credential must stay what it is.
_CONNECTION = frozenset({"authorization", "headers", "server_url"})
_OF_A_TOOL = 1


class Passage(NamedTuple):
    """`place`: a member of the request, and which item of it: `messages[2]`. `role` is in the words of the API."""

    place: str
    role: str
    text: str


def passages(operation: Operation, body: Body) -> Iterator[Passage]:
    """The prompt's, in the order in which they stand, and those around it."""
    for name in prompt.MEMBERS.get(operation, ()):
        for place, role, part in _parts(name, body.members.get(name)):
            for (container, key), _ in prompt.leaves(operation, {name: part}):
                text = container[key]
                if isinstance(text, str) and text:
                    yield Passage(place, role, prompt.clean(text))
    for name in prompt.AROUND:
        for container, key in _strings({name: body.members.get(name)}, name):
            if container[key]:
                yield Passage(name, TOOLS, prompt.clean(container[key]))


def changed(operation: Operation, body: Body, change: Callable[[str], str]) -> Body:
    """The request with the text of each passage put through `change`. Raises BadJson."""
    body = prompt.changed(operation, body, change)
    names = [name for name in prompt.AROUND if name in body.members]
    if not names:
        return body
    fresh = Body.read(body.text.encode())  # its values are changed in their places
    touched: dict[str, Any] = {}
    for name in names:
        for container, key in _strings(fresh.members, name):
            text = prompt.clean(container[key])
            if (new := change(text)) != text:
                container[key] = new
                touched[name] = fresh.members[name]
    return Body.read(fresh.replaced(touched)) if touched else body


def has_tokens(operation: Operation, body: Body) -> bool:
    """Whether some of the prompt is given as the numbers of tokens, which nobody here can read."""
    return any(
        isinstance(container[key], list) for (container, key), _ in prompt.leaves(operation, body.members)
    )


def _parts(name: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    """Place, role and value of each item; lists of messages have roles."""
    if not isinstance(value, list):
        if value is not None:
            yield name, "system" if name in _SYSTEM else "user", value
        return
    for at, item in enumerate(value):
        role = (
            (item.get("role") or item.get("type")) if isinstance(item, dict) and name not in _SYSTEM else None
        )
        usual = "system" if name in _SYSTEM else "user"
        yield f"{name}[{at}]", role if isinstance(role, str) else usual, [item]


def _strings(members: Mapping[str, Any], name: str) -> Iterator[tuple[Any, Any]]:
    """Where the strings of a member stand."""
    stack: list[tuple[Any, Any, int]] = [(members, name, 0)]
    while stack:
        container, key, depth = stack.pop()
        value = container[key]
        if isinstance(value, str):
            yield container, key
        elif isinstance(value, list):
            stack += [(value, at, depth + 1) for at in range(len(value) - 1, -1, -1)]
        elif isinstance(value, dict):
            stack += [(value, inner, depth + 1) for inner in reversed(value) if _is_read(value, inner, depth)]


def _is_read(container: Mapping[str, Any], key: str, depth: int) -> bool:
    if depth == _OF_A_TOOL and key in _CONNECTION:
        return False
    return key not in _NOT_PROSE or not isinstance(
        container[key], str
    )  # a form may have a field of that name
