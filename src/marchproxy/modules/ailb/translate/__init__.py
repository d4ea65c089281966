"""OpenAI's chat completions and Anthropic's messages, each said in the words of the other. Pure.

`exchange` is the face: one request and what is answered to it. `to_anthropic` and `to_openai` have requests, answers and
streams in the API that they are named for. Nothing is left out in silence: what the other API cannot say is refused by the
name of its field, what would only have helped is left out with a note.
"""
