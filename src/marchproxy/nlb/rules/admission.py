"""Admission: may this instance register? Every fault is reported, each with its field."""

from collections.abc import Iterator

from marchproxy.model.checks import check_address
from marchproxy.model.module import ModuleInstance, ModuleType
from marchproxy.model.problem import Problem

_LONGEST_ID = 200
_MOST_ENDPOINTS = 32


def check_instance(instance: ModuleInstance) -> Iterator[Problem]:
    """Faults of an instance that wants to register; paths are fields of the request.

    Traffic endpoints are not required: clients of the earlier contract do not know them. They get no traffic.
    """
    if not instance.instance_id or len(instance.instance_id) > _LONGEST_ID:
        yield Problem("instance.instance_id", f"needs 1 to {_LONGEST_ID} characters")
    if instance.module_type is ModuleType.NLB:
        yield Problem("instance.module_type", "an NLB does not register with an NLB")
    if not instance.address:
        yield Problem("instance.address", "the host:port of the instance's gRPC server is needed")
    else:
        yield from check_address(instance.address, "instance.address")
    if not instance.version:
        yield Problem("instance.version", "is empty; give the version that the instance runs, such as v1")
    yield from _check_endpoints(instance)
    for name in ("current_connections", "max_connections", "traffic_weight"):
        count = getattr(instance, name)
        if count < 0:
            yield Problem(f"instance.{name}", f"{count} is negative")
    if instance.traffic_weight > 100:
        yield Problem("instance.traffic_weight", f"{instance.traffic_weight} is not between 0 and 100")


def _check_endpoints(instance: ModuleInstance) -> Iterator[Problem]:
    path = "instance.traffic_endpoints"
    if len(instance.traffic_endpoints) > _MOST_ENDPOINTS:
        yield Problem(path, f"more than {_MOST_ENDPOINTS} endpoints")
        return
    seen: set[str] = set()
    for index, endpoint in enumerate(instance.traffic_endpoints):
        yield from check_address(endpoint.address, f"{path}[{index}].address")
        if endpoint.name in seen:
            yield Problem(f"{path}[{index}].name", f'"{endpoint.name}" is given twice')
        seen.add(endpoint.name)
