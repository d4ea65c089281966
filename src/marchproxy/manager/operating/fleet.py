"""What NLBs are asked to do with their instances."""

from collections.abc import Sequence

from marchproxy.contract.convert import MODULE_TYPES
from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import nlb_pb2
from marchproxy.manager.operating.targets import NotDone
from marchproxy.model.module import ModuleType
from marchproxy.model.problem import RefusalCode, Refused

_SECONDS = 15.0


async def scale(clients: Sequence[Client], module_type: str, count: int) -> tuple[str, str]:
    """Ask the first NLB that answers for so many instances; its address, and what it says. Raises NotDone, Refused."""
    kinds = {kind.value: kind for kind in ModuleType if kind is not ModuleType.NLB}
    if module_type not in kinds:
        raise NotDone(f'no module type "{module_type}"; known: {", ".join(kinds)}', found=False)
    request = nlb_pb2.TriggerScalingRequest(
        module_type=MODULE_TYPES.to_pb(kinds[module_type]), scaling_action="set", target_instances=count
    )
    failures: list[str] = []
    for client in clients:
        try:
            answer = await client.nlb(
                lambda stub, left: stub.TriggerScaling(request, timeout=left), timeout=_SECONDS
            )
        except CallFailed as error:
            failures.append(str(error))
            continue
        if not answer.success:
            raise NotDone(answer.error.message or answer.message)
        return client.nlb_address, answer.message
    raise Refused(RefusalCode.UNAVAILABLE, "; ".join(failures) or "no NLB is managed here")


async def rebalance(clients: Sequence[Client], *, force: bool) -> tuple[tuple[str, str], ...]:
    """Ask every NLB; what each says by its address. Raises NotDone when one refuses, Refused when none answers."""
    request = nlb_pb2.RebalanceLoadRequest(force=force)
    answers: list[tuple[str, str]] = []
    failures: list[str] = []
    for client in clients:
        try:
            answer = await client.nlb(
                lambda stub, left: stub.RebalanceLoad(request, timeout=left), timeout=_SECONDS
            )
        except CallFailed as error:
            failures.append(str(error))
            continue
        if not answer.success:
            raise NotDone(f"{client.nlb_address}: {answer.error.message or answer.message}")
        answers.append((client.nlb_address, answer.message))
    if not answers:
        raise Refused(RefusalCode.UNAVAILABLE, "; ".join(failures) or "no NLB is managed here")
    return tuple(answers)
