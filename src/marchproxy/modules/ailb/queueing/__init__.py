"""Queueing: who waits when every endpoint is full, in which order they go on, and who is sent away.

`line` is the order (pure), `queueing` has the lines and their bounds, `priority` says how important a request is.
"""

from marchproxy.modules.ailb.queueing.priority import USUAL, priority_of
from marchproxy.modules.ailb.queueing.queueing import Counts, Queueing
from marchproxy.modules.ailb.queueing.waiting import Choose, Entrant, Shed, Waiting, Why

__all__ = ["USUAL", "Choose", "Counts", "Entrant", "Queueing", "Shed", "Waiting", "Why", "priority_of"]
