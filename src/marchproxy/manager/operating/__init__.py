"""What people do to a running system beside changing its desired state: weights, canaries, drains, scaling, questions."""

from marchproxy.manager.operating.operations import Operations
from marchproxy.manager.operating.targets import Done, NotDone, Pace, Target

__all__ = ["Done", "NotDone", "Operations", "Pace", "Target"]
