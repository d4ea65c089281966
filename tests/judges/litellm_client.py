"""Asks a gateway as LiteLLM's users do: `python litellm_client.py URL KEY MODEL`; what it was told goes to stdout, as JSON.

It runs where LiteLLM is, not in the environment of the tests.
"""

import asyncio
import json
import sys
from typing import Any

import litellm

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
MESSAGES = [{"role": "user", "content": "How was the weather?"}]


async def ask(**asked: Any) -> dict[str, Any]:
    try:
        answer = await litellm.acompletion(messages=MESSAGES, max_tokens=5, max_retries=0, **asked)
        if asked.get("stream"):
            answer = litellm.stream_chunk_builder([chunk async for chunk in answer], messages=MESSAGES)
    except Exception as error:  # noqa: BLE001 - which it is, is what is asked
        return {"error": type(error).__name__, "said": str(error)}
    message, usage = answer.choices[0].message, answer.usage
    return {
        "text": message.content,
        "tools": [call.function.name for call in message.tool_calls or ()],
        "used": [usage.prompt_tokens, usage.completion_tokens],
    }


async def main(url: str, key: str, model: str) -> None:
    told = {}
    for provider, base in (("openai", f"{url}/v1"), ("hosted_vllm", f"{url}/v1"), ("anthropic", url)):
        where = {"api_base": base, "api_key": key}
        right = {**where, "model": f"{provider}/{model}"}
        wanted = {**right, "stream": True, "stream_options": {"include_usage": True}}
        told[provider] = {
            "whole": await ask(**right),
            "streamed": await ask(**wanted),
            "tool": await ask(**right, tools=TOOLS, tool_choice="required"),
            "streamed tool": await ask(**wanted, tools=TOOLS, tool_choice="required"),
            "no such model": await ask(**where, model=f"{provider}/nope"),
            "no such key": await ask(**{**right, "api_key": "mp-nobody-0000000"}),
            "not allowed": await ask(**{**right, "model": f"{provider}/{model}-direct"}),
        }
    print(json.dumps(told))  # noqa: T201 - as it says


asyncio.run(main(*sys.argv[1:]))
