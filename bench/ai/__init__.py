"""bench.ai: streams and requests of language models through an AILB, LiteLLM, an Envoy by hand, and nothing."""
