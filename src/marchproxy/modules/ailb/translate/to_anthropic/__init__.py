"""Chat completions of OpenAI as messages of Anthropic: `request`, with `conversation` and `tools` in it, `answer`, `stream`."""
