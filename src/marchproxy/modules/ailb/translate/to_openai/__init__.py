"""Messages of Anthropic as chat completions of OpenAI: `request`, with `conversation` and `tools` in it, `answer`, `stream`."""
