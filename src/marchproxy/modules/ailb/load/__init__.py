"""Load: what engines say by `/metrics` of their queues and KV caches, looked at again and again."""

from marchproxy.modules.ailb.load.engine_load import EngineLoad, Listener

__all__ = ["EngineLoad", "Listener"]
