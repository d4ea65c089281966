"""Fleet: among how many instances the rate limits of a module type are divided. No I/O."""

from marchproxy.model.module import InstanceId, ModuleInstance
from marchproxy.model.plan import ForwardingPlan


def instances_sharing(plan: ForwardingPlan, instance: ModuleInstance) -> int:
    """How many instances of the type the plan sends connections to. The one that asks counts: it may be about to get some."""
    taking: set[InstanceId] = {instance.instance_id}
    for listener in plan.listeners:
        if listener.listener.module_type is instance.module_type:
            for version in listener.versions:
                taking.update(target.instance_id for target in version.targets)
    return len(taking)
