"""Memory: what survives a restart of the NLB process. A file that cannot be read costs nothing but the memory.

`registry.json` is whom the NLB forwards to, and is written before each change of that. `desired.json` is the configuration
as it runs; the routes, which may be ten thousand and seldom change, are in a file of their own that it names.
"""

from marchproxy.nlb.service.memory.saved import Saved
from marchproxy.nlb.service.memory.saver import Saver, load

__all__ = ["Saved", "Saver", "load"]
