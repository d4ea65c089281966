"""What the file says of live video that is allowed, but hardly meant: streams that players may look for at another instance."""

from collections.abc import Iterator, Sequence

from marchproxy.cli.file.schema import FileDocument
from marchproxy.kit.settings import Located, Problem
from marchproxy.model.module import ModuleType
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.rtmp import WATCHING_PROTOCOLS, OriginPick, RtmpPool
from marchproxy.model.state import DesiredState
from marchproxy.modules.rtmp.plan import is_own
from marchproxy.modules.rtmp.settings import RtmpSettings


def stream_warnings(document: FileDocument, state: DesiredState, located: Located) -> Iterator[Problem]:
    """Each at its line: with several instances, all must find a stream without asking one another."""
    own = [module for module in document.modules if isinstance(module, RtmpSettings)]
    watched = [module for module in own if module.playback_ports()]
    yield from _scattered_viewers(state, _most_instances(state, watched), located)
    if (instances := _most_instances(state, own)) > 1:
        yield from _kept_streams(state, instances, located)
        yield from _scattered_streams(state, instances, located)


def _kept_streams(state: DesiredState, instances: int, located: Located) -> Iterator[Problem]:
    for index, route in enumerate(state.routes):
        if is_own(route) and not route.backends:
            message = (
                f"each of {instances} instances would keep the streams that come to it, and players of another one find nothing: "
                "give the route `backends`, or let there be one instance"
            )
            yield located.problem(("routes", index, "id"), message)


def _scattered_streams(state: DesiredState, instances: int, located: Located) -> Iterator[Problem]:
    wanted = {ref.pool for route in state.routes if is_own(route) for ref in route.backends}
    for index, pool in enumerate(state.pools):
        pick = (pool.rtmp or RtmpPool()).pick
        if pool.name in wanted and pick is not OriginPick.STREAM_HASH:
            message = (
                f"{pick.value} is decided by each of {instances} instances for itself, and players of another one may be sent "
                "to an origin without the stream; `stream_hash` is the same for all"
            )
            yield located.problem(("pools", index, "rtmp", "pick"), message)


def _scattered_viewers(state: DesiredState, instances: int, located: Located) -> Iterator[Problem]:
    for index, listener in enumerate(state.listeners if instances > 1 else ()):
        if listener.protocol in WATCHING_PROTOCOLS and listener.balance is not BalancePolicy.SOURCE_HASH:
            message = (
                f"each of {instances} instances makes segments of its own, and a viewer who comes to another one does not find what "
                "the playlist of the first named: `source_hash` keeps viewers where they are"
            )
            yield located.problem(("listeners", index, "balance"), message)


def _most_instances(state: DesiredState, started: Sequence[RtmpSettings]) -> int:
    scaled = (item.limits.maximum for item in state.scaling if item.module_type is ModuleType.RTMP)
    return max(len(started), *scaled, 0)
