"""Where a request would go from a module, in words for `explain`. No I/O."""

from collections.abc import Iterator, Sequence

from marchproxy.contract.pb import types_pb2

_MOST = 10  # endpoints in words; --json has them all


def certain(choices: Sequence[types_pb2.PoolChoice]) -> str:
    """The pool and the endpoint that a request goes to; as far as they are certain, or empty."""
    pool = next((choice for choice in choices if choice.probability == 1), None)
    if pool is None:
        return ""
    endpoint = next((one.address for one in pool.endpoints if one.probability == 1), "")
    return f", pool {pool.pool}" + (f", {endpoint}" if endpoint else "")


def pool_line(choice: types_pb2.PoolChoice) -> str:
    """A pool, its share, and how its endpoints are chosen."""
    gets = f"pool {choice.pool} ({choice.version}) gets {_percent(choice.probability)}"
    if not choice.probability:
        return gets
    sound = sum(not endpoint.trouble for endpoint in choice.endpoints)
    tried = "" if sound or not choice.endpoints else ", so every one is tried"
    return f"{gets}: an endpoint {choice.policy}; {sound} of {len(choice.endpoints)} are sound{tried}"


def endpoint_lines(choice: types_pb2.PoolChoice) -> Iterator[str]:
    """The endpoints of a pool that may be chosen, the likeliest first."""
    if not choice.probability:
        return
    for endpoint in choice.endpoints[:_MOST]:
        yield _endpoint_line(endpoint)
    if len(choice.endpoints) > _MOST:
        yield f"and {len(choice.endpoints) - _MOST} more; --json has them all"


def _endpoint_line(endpoint: types_pb2.EndpointChoice) -> str:
    name = f" ({endpoint.name})" if endpoint.name else ""
    facts = [f"weight {endpoint.weight}"] if endpoint.weight != 1 else []
    facts += [f"priority {endpoint.priority}"] if endpoint.priority else []
    facts += [f"{endpoint.active_requests} requests in flight"] if endpoint.active_requests else []
    facts += [endpoint.trouble] if endpoint.trouble else []
    share = "chosen" if endpoint.probability == 1 else _percent(endpoint.probability)
    return ", ".join((f"{endpoint.address}{name}: {share}", *facts))


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
