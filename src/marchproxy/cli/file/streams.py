"""What the file says of live video that is allowed, but hardly meant: streams that players may look for at another instance."""

from collections.abc import Iterator

from marchproxy.cli.file.schema import FileDocument
from marchproxy.kit.settings import Located, Problem
from marchproxy.model.module import ModuleType
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.rtmp import WATCHING_PROTOCOLS, OriginPick, RtmpPool
from marchproxy.model.state import DesiredState
from marchproxy.modules.rtmp.plan import is_own


def stream_warnings(document: FileDocument, state: DesiredState, located: Located) -> Iterator[Problem]:
    """Each at the line of its route or pool: with several instances, all must find a stream without asking one another."""
    if (instances := _most_instances(document, state)) < 2:
        return
    yield from _scattered_viewers(state, instances, located)
    pools = {pool.name: (index, pool.rtmp or RtmpPool()) for index, pool in enumerate(state.pools)}
    scattering: dict[int, RtmpPool] = {}
    for number, route in enumerate(state.routes):
        if not is_own(route):
            continue
        if not route.backends:
            message = (
                f"each of {instances} instances would keep the streams that come to it, and players of another one find nothing: "
                "give the route `backends`, or let there be one instance"
            )
            yield located.problem(("routes", number, "id"), message)
        scattering |= {
            index: pool
            for index, pool in (pools[ref.pool] for ref in route.backends if ref.pool in pools)
            if pool.pick is not OriginPick.STREAM_HASH
        }
    for index, pool in scattering.items():
        message = (
            f"{pool.pick.value} is decided by each of {instances} instances for itself, and players of another one may be sent "
            "to an origin without the stream; `stream_hash` is the same for all"
        )
        yield located.problem(("pools", index, "rtmp", "pick"), message)


def _scattered_viewers(state: DesiredState, instances: int, located: Located) -> Iterator[Problem]:
    for index, listener in enumerate(state.listeners):
        if listener.protocol in WATCHING_PROTOCOLS and listener.balance is not BalancePolicy.SOURCE_HASH:
            message = (
                f"each of {instances} instances makes segments of its own, and a viewer who comes to another one does not find what "
                "the playlist of the first named: `source_hash` keeps viewers where they are"
            )
            yield located.problem(("listeners", index, "balance"), message)


def _most_instances(document: FileDocument, state: DesiredState) -> int:
    started = sum(module.type == ModuleType.RTMP.value for module in document.modules)
    scaled = (item.limits.maximum for item in state.scaling if item.module_type is ModuleType.RTMP)
    return max(started, *scaled, 0)
