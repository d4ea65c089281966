"""What people do to a running system beside changing its desired state: weights, canaries, drains, scaling, questions."""

from marchproxy.contract.fleet.changing import Pace
from marchproxy.manager.operating.operations import Operations
from marchproxy.manager.operating.targets import Done, NotDone, Target

__all__ = ["Done", "NotDone", "Operations", "Pace", "Target"]
