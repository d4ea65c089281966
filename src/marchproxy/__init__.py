"""MarchProxy: one load balancer for TCP, HTTP, databases, LLM inference and live video."""

__version__ = "0.1.0"
