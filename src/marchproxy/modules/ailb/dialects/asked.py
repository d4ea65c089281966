"""A request for a model, as far as the gateway must understand it. What it need not, the provider judges."""

from collections.abc import Iterator
from dataclasses import dataclass

from marchproxy.modules.ailb.dialects import prompt
from marchproxy.modules.ailb.dialects.body import BadJson, Body
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.fields import (
    BadField,
    Members,
    flag,
    flags,
    objects,
    text,
    whole,
)
from marchproxy.modules.ailb.dialects.operations import Operation

#: Where the most tokens of an answer stand; the first that is there counts.
MOST_OUTPUT = {
    Operation.CHAT: ("max_completion_tokens", "max_tokens"),
    Operation.COMPLETIONS: ("max_tokens",),
    Operation.RESPONSES: ("max_output_tokens",),
    Operation.MESSAGES: ("max_tokens",),
}
#: What a request cannot be without.
_REQUIRED = {
    Operation.CHAT: ("messages",),
    Operation.COMPLETIONS: ("prompt",),
    Operation.EMBEDDINGS: ("input",),
    Operation.MESSAGES: ("max_tokens", "messages"),
    Operation.COUNT_TOKENS: ("messages",),
}
#: Where it stands how many answers are wanted.
_COUNTS = {Operation.CHAT: ("n",), Operation.COMPLETIONS: ("n", "best_of")}
_LONGEST_NAME = 256
_MOST_CHOICES = 128


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Asked:
    """`max_output` tokens for each of `choices` answers, as the client wants it; None: it does not say.

    `tools` by name (or by kind, where one has no name). `wants_usage`: a stream is to tell what it used.
    """

    operation: Operation
    body: Body
    model: str
    stream: bool = False
    max_output: int | None = None
    choices: int = 1
    tools: tuple[str, ...] = ()
    wants_usage: bool = False

    def texts(self) -> Iterator[str]:
        """The texts that the model reads, in the order in which they stand."""
        return prompt.texts(self.operation, self.body)

    def estimate(self) -> int:
        """About how many tokens the prompt has, rather too many than too few."""
        return prompt.estimate(self.operation, self.body)


def read(operation: Operation, data: bytes) -> Asked | Failure:
    """The request, or what is wrong with it in the words of its API."""
    try:
        return _read(operation, Body.read(data))
    except BadJson as bad:
        return Failure(Reason.BAD_REQUEST, f"The body is not JSON as it should be: {bad}.")
    except BadField as bad:
        return bad.failure(operation.dialect)


def _read(operation: Operation, body: Body) -> Asked:
    members = body.members
    required = _REQUIRED.get(operation, ())
    for name in required:
        if members.get(name) is None:
            raise BadField(name, None)
    if "messages" in required:
        _check_messages(members)
    stream = operation.generates and flag(members, "stream")
    return Asked(
        operation,
        body,
        _model(members),
        stream,
        _max_output(operation, members),
        _choices(operation, members),
        _tools(members),
        stream and flags(members, "stream_options").get("include_usage", False),
    )


def _model(members: Members) -> str:
    name = text(members, "model")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadField("model", f"a name of at most {_LONGEST_NAME} printable characters", name)
    return name


def _max_output(operation: Operation, members: Members) -> int | None:
    for name in MOST_OUTPUT.get(operation, ()):
        if (most := whole(members, name)) is not None:
            return most
    return None


def _choices(operation: Operation, members: Members) -> int:
    count = 1
    for name in _COUNTS.get(operation, ()):
        count = max(count, whole(members, name, least=1) or 1) if name in members else count
    if count > _MOST_CHOICES:
        raise BadField("n", f"an integer of at most {_MOST_CHOICES}", count)
    prompts = members.get("prompt")
    if operation is not Operation.COMPLETIONS or not isinstance(prompts, list):
        return count
    one_as_tokens = isinstance(next(iter(prompts), 0), int)
    return count if one_as_tokens else count * len(prompts)


def _check_messages(members: Members) -> None:
    if _are_texts(members["messages"]):  # nearly always
        return
    messages = objects(members, "messages")
    if not messages:
        raise BadField("messages", "an array that is not empty", messages)
    for at, message in enumerate(messages):
        role = message.get("role")
        if not (role and isinstance(role, str)):
            text(message, "role", path=f"messages[{at}].role")  # which says what is wrong
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise BadField(f"messages[{at}].content", "a string or an array", content)
        objects(message, "content", path=f"messages[{at}].content")


def _are_texts(messages: object) -> bool:
    """Whether they are messages, each with a role and a text."""
    if not isinstance(messages, list):
        return False
    for message in messages:
        if not (isinstance(message, dict) and isinstance(message.get("content"), str)):
            return False
        role = message.get("role")
        if not (role and isinstance(role, str)):
            return False
    return bool(messages)


def _tools(members: Members) -> tuple[str, ...]:
    """By the name that each API has for one, at the place that each has for it."""
    if "tools" not in members and "functions" not in members:
        return ()
    found: list[str] = []
    for tool in (*objects(members, "tools"), *objects(members, "functions")):
        kind = tool.get("type")
        inner = tool.get(kind) if isinstance(kind, str) else None
        name = tool.get("name") or (inner.get("name") if isinstance(inner, dict) else None) or kind
        if not isinstance(name, str):
            raise BadField(f"tools[{len(found)}].name", None if name is None else "a string", name)
        found.append(name)
    return tuple(found)
