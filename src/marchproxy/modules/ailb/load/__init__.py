"""Load: what engines say by `/metrics` of their queues and KV caches, looked at again and again.

`watches` has a `watch` of each engine, which reads its `page`; `exposition` finds in it what counts.
"""

from marchproxy.modules.ailb.load.engine_load import EngineLoad, Listener
from marchproxy.modules.ailb.load.watch import Engine
from marchproxy.modules.ailb.load.watches import Watches

__all__ = ["Engine", "EngineLoad", "Listener", "Watches"]
