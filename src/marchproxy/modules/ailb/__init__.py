"""The gateway for language models: a decision of ours per request, and an Envoy that streams."""
