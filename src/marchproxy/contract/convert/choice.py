"""Where a request would go, as messages."""

from marchproxy.contract.pb import types_pb2
from marchproxy.model.choice import EndpointChoice, PoolChoice


def choice_to_pb(choice: PoolChoice) -> types_pb2.PoolChoice:
    """The message."""
    return types_pb2.PoolChoice(
        pool=choice.pool,
        version=choice.version,
        probability=choice.probability,
        policy=choice.policy,
        endpoints=[_endpoint_to_pb(endpoint) for endpoint in choice.endpoints],
    )


def _endpoint_to_pb(endpoint: EndpointChoice) -> types_pb2.EndpointChoice:
    return types_pb2.EndpointChoice(
        address=endpoint.address,
        name=endpoint.name,
        probability=endpoint.probability,
        weight=endpoint.weight,
        priority=endpoint.priority,
        active_requests=endpoint.active_requests,
        trouble=endpoint.trouble,
    )
