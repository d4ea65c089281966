"""Requests and streams changed in place: the client's JSON keeps its order, its numbers and its spaces."""

from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.dialects.body import BadJson, Body
from marchproxy.modules.ailb.dialects.operations import Operation

#: Those whose streams tell what they used only when they are asked to.
_ASKED_FOR_USAGE = frozenset({Operation.CHAT, Operation.COMPLETIONS})
_USAGE = b'"usage"'


def request(asked: Asked, *, model: str = "", usage: bool = False, each: bool = False) -> bytes:
    """The request for another model, where `model` is given, and a stream that tells what it used, where `usage` is.

    `each`: in every event, so that what a client has got is known when it hangs up: vLLM and SGLang can do that.
    """
    values: dict[str, object] = {}
    if model and model != asked.model:
        values["model"] = model
    if usage and asked.stream and asked.operation in _ASKED_FOR_USAGE:
        options = asked.body.members.get("stream_options") or {}
        wanted = {"include_usage": True} | ({"continuous_usage_stats": True} if each else {})
        if any(options.get(name) is not True for name in wanted):
            values["stream_options"] = options | wanted
    return asked.body.replaced(values)


def without_usage(data: bytes) -> bytes | None:
    """The data of an event of OpenAI's, without the numbers that its client did not ask for; None: it is nothing else.

    What is not understood is left as it is.
    """
    if _USAGE not in data:
        return data
    try:
        body = Body.read(data)
    except BadJson:
        return data
    if body.members.get("usage") is None:
        return data
    if not body.members.get("choices"):
        return None
    return body.replaced({"usage": None})
