"""Anthropic's tools, the choice among them, and structured output, as OpenAI has them."""

from typing import Any

from marchproxy.modules.ailb.translate.record import Record, Untranslatable

_CHOICES = {"none": "none", "auto": "auto", "any": "required"}
#: OpenAI wants a name for a schema, and Anthropic's have none.
_SCHEMA = "answer"


def tools(request: Record) -> dict[str, Any]:
    """The members that say which tools there are and which of them are to be called. Raises Untranslatable, BadField."""
    found: dict[str, Any] = {}
    if defined := [_tool(tool) for tool in request.records("tools")]:
        found["tools"] = defined
    choice = request.record("tool_choice")
    if choice is None:
        return found
    kind = choice.some_text("type")
    if kind == "tool":
        found["tool_choice"] = {"type": "function", "function": {"name": choice.some_text("name")}}
    elif kind in _CHOICES:
        found["tool_choice"] = _CHOICES[kind]
    else:
        raise Untranslatable(choice.place("type"), f"{kind[:50]!r} is no choice there")
    if choice.flag("disable_parallel_tool_use"):
        found["parallel_tool_calls"] = False
    choice.end()
    return found


def output(request: Record) -> dict[str, Any]:
    """The members that say what shape the answer has and how hard the model thinks. Raises Untranslatable, BadField."""
    found: dict[str, Any] = {}
    thinking = request.record("thinking")
    if thinking and thinking.some_text("type") != "disabled":
        request.notes.append("thinking: it is asked for by effort there")
    config = request.record("output_config")
    if config is None:
        return found
    if effort := config.text("effort"):
        found["reasoning_effort"] = effort
    if shape := config.record("format"):
        found["response_format"] = _format(shape)
    config.end()
    return found


def _tool(tool: Record) -> dict[str, Any]:
    if (tool.text("type") or "custom") != "custom":
        raise Untranslatable(tool.place("type"), "tools that the provider runs are not there")
    function: dict[str, Any] = {"name": tool.some_text("name")}
    if description := tool.text("description"):
        function["description"] = description
    function["parameters"] = tool.some_record("input_schema").rest()
    if tool.flag("strict"):
        function["strict"] = True
    tool.note("cache_control", "caches are told otherwise there")
    tool.note("input_examples", "tools have no examples there")
    tool.note("eager_input_streaming", "arguments come as they are made there")
    tool.refuse("defer_loading", "all tools are there from the beginning", unless=(False,))
    tool.refuse("allowed_callers", "the model alone calls tools there", unless=(["direct"], []))
    tool.end()
    return {"type": "function", "function": function}


def _format(shape: Record) -> dict[str, Any]:
    if shape.some_text("type") != "json_schema":
        raise Untranslatable(shape.place("type"), "give a json_schema")
    schema = {"name": _SCHEMA, "schema": shape.some_record("schema").rest(), "strict": True}
    shape.end()
    return {"type": "json_schema", "json_schema": schema}
