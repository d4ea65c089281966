"""OpenAI's tools, the choice among them, and structured output, as Anthropic has them."""

from typing import Any

from marchproxy.modules.ailb.translate.record import Record, Untranslatable

_CHOICES = {"none": "none", "auto": "auto", "required": "any"}


def tools(request: Record) -> dict[str, Any]:
    """The members that say which tools there are and which of them are to be called. Raises Untranslatable, BadField."""
    found = [_tool(tool) for tool in request.records("tools")]
    choice, parallel = _choice(request), request.flag("parallel_tool_calls")
    if not found:
        if choice and choice["type"] in {"any", "tool"}:
            raise Untranslatable("tool_choice", "there are no tools to choose from")
        return {}
    if parallel is False:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    return {"tools": found} | ({"tool_choice": choice} if choice else {})


def output_config(request: Record) -> dict[str, Any]:
    """The members that say what shape the answer has and how hard the model thinks. Raises Untranslatable, BadField."""
    config: dict[str, Any] = {}
    if shape := request.record("response_format"):
        config |= _format(shape)
    effort = request.text("reasoning_effort")
    if effort == "none":
        return _config(config) | {"thinking": {"type": "disabled"}}
    if effort == "minimal":
        raise Untranslatable("reasoning_effort", "the least there is none, then low")
    return _config(config | ({"effort": effort} if effort else {}))


def _config(config: dict[str, Any]) -> dict[str, Any]:
    return {"output_config": config} if config else {}


def _tool(tool: Record) -> dict[str, Any]:
    if tool.some_text("type") != "function":
        raise Untranslatable(tool.place("type"), "tools are functions there")
    function = tool.some_record("function")
    schema = function.record("parameters")
    found: dict[str, Any] = {
        "name": function.some_text("name"),
        "input_schema": schema.rest() if schema else {"type": "object", "properties": {}},
    }
    if description := function.text("description"):
        found["description"] = description
    if function.flag("strict"):
        found["strict"] = True
    cache = tool.take("cache_control")
    function.end()
    tool.end()
    return found | ({"cache_control": cache} if cache is not None else {})


def _choice(request: Record) -> dict[str, Any] | None:
    if request.is_text("tool_choice"):
        word = request.some_text("tool_choice")
        if word not in _CHOICES:
            raise Untranslatable("tool_choice", f"{word[:50]!r} is no choice there")
        return {"type": _CHOICES[word]}
    choice = request.record("tool_choice")
    if choice is None:
        return None
    if choice.some_text("type") != "function":
        raise Untranslatable(choice.place("type"), "one tool is chosen there, or any")
    function = choice.some_record("function")
    name = function.some_text("name")
    function.end()
    choice.end()
    return {"type": "tool", "name": name}


def _format(shape: Record) -> dict[str, Any]:
    kind = shape.some_text("type")
    if kind == "text":
        shape.end()
        return {}
    if kind != "json_schema":
        raise Untranslatable(shape.place("type"), "give a json_schema")
    given = shape.some_record("json_schema")
    given.take("name")  # schemas have none there
    given.take("strict")  # they are always kept to there
    given.note("description", "schemas have no description of their own there")
    schema = given.some_record("schema").rest()
    given.end()
    shape.end()
    return {"format": {"type": "json_schema", "schema": schema}}
