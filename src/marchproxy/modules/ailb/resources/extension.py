"""Extension: all that an AILB adds to the shared gateway, in its places."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.log_rotation import RotationLimits
from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.model.module import ModuleType, PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import Route
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.attempts import own_filters
from marchproxy.modules.ailb.resources.deciding import deciding_filters, deciding_on
from marchproxy.modules.ailb.resources.egress import egress_listener
from marchproxy.modules.ailb.resources.own_clusters import DECIDER, REPORTS, http1, http2, own_cluster
from marchproxy.modules.ailb.resources.pools import extend_pool, relay_twin
from marchproxy.modules.ailb.resources.refusals import REFUSALS, refusals_filter
from marchproxy.modules.ailb.resources.replies import local_replies
from marchproxy.modules.ailb.resources.reports import ALIVE_SECONDS, of_ends, reports, written
from marchproxy.modules.ailb.resources.routes import extend_action
from marchproxy.modules.ailb.resources.sockets import Sockets
from marchproxy.modules.ailb.resources.spans import tell_spans
from marchproxy.modules.ailb.resources.typed import turned_on
from marchproxy.modules.ailb.resources.usage import usage_filters, usage_on
from marchproxy.modules.http.extension import Extension

# of an answer that is read as a whole for its usage: a longer one is refused by Envoy
_BUFFERED = 16 * 1024 * 1024
# bytes of ends that are written down, and as many before them: of 15,000 requests each, about
_WRITTEN = 8 * 1024 * 1024
_FROM_CLIENTS = (asking.OURS, "x-envoy-")


class AiExtension(Extension):
    """What Envoy needs to ask a decider, and to do as it is told."""

    module = ModuleType.AILB

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._relays = tuple(sockets.relay(number) for number in range(sockets.relays))

    def filters(self) -> Iterator[Any]:
        """Those that read answers stand behind those that ask: an answer meets them first."""
        yield from deciding_filters()
        yield from usage_filters()
        yield refusals_filter()

    def extend_manager(self, manager: Any) -> None:
        """Take what only we may say from clients' headers, word errors, report; tell clients what reports call a request."""
        manager.early_header_mutation_extensions.add(
            name="envoy.http.early_header_mutation.header_mutation", typed_config=pack(_nothing_of_ours())
        )
        manager.local_reply_config.CopyFrom(local_replies())
        tell_spans(manager)
        for log in manager.access_log:
            of_ends(log)
        manager.access_log.append(reports())
        manager.access_log.append(written(self._sockets.written))
        manager.access_log_options.access_log_flush_interval.CopyFrom(duration(ALIVE_SECONDS))
        manager.always_set_request_id_in_response = True
        manager.delayed_close_timeout.CopyFrom(duration(0))  # an answer that breaks off is not held back

    def extend_listener(self, listener: Any) -> None:
        """Let whole answers be read."""
        listener.per_connection_buffer_limit_bytes.CopyFrom(wrappers_pb2.UInt32Value(value=_BUFFERED))

    def marked(self, pools: Sequence[BackendPool], /) -> frozenset[PoolName]:
        """Those whose streams no relay reads."""
        return frozenset(pool.name for pool in pools if pool.ai is not None and not pool.ai.in_band_errors)

    def extend_route(self, message: Any, route: Route, *, marked: bool) -> None:
        """Have a decider asked of the requests of a route to language models."""
        if route.ai is None or not message.HasField("route"):
            return
        extend_action(message.route, route, route.ai)
        turned = deciding_on(route, route.ai) | usage_on(events=marked) | {REFUSALS: turned_on()}
        for name, config in turned.items():
            message.typed_per_filter_config[name].CopyFrom(config)

    def extend_cluster(self, cluster: Any, pool: BackendPool) -> None:
        """As `resources.pools` says."""
        if pool.ai is not None:
            extend_pool(cluster, pool, pool.ai)

    def pool_resources(self, pool: BackendPool, /) -> Iterator[Resource]:
        """The same pool behind the relays."""
        if pool.ai is not None:
            yield Resource.of(relay_twin(pool, self._relays))

    def logs(self) -> Iterator[tuple[Path, RotationLimits]]:
        """What a decider that takes over may have to read."""
        yield self._sockets.written, RotationLimits(largest=_WRITTEN, keep=1)

    def resources(self) -> Iterator[Resource]:
        """Our own processes, and the way by which relays reach pools."""
        sockets = self._sockets
        yield Resource.of(own_cluster(DECIDER, [sockets.decide], http1()))
        yield Resource.of(own_cluster(asking.OWN_CLUSTER, [sockets.own], http1(), own_filters()))
        yield Resource.of(own_cluster(REPORTS, [sockets.reports], http2()))
        yield Resource.of(egress_listener(sockets.egress))


def _nothing_of_ours() -> Any:
    """Headers that a client could lie in. Ids of requests are made here: tries of one reservation go by them."""
    removed = [string_pb2.StringMatcher(prefix=prefix) for prefix in _FROM_CLIENTS]
    removed.append(string_pb2.StringMatcher(exact=asking.REQUEST_ID))
    mutations = [
        mutation_rules_pb2.HeaderMutation(
            remove_on_match=mutation_rules_pb2.HeaderMutation.RemoveOnMatch(key_matcher=matcher)
        )
        for matcher in removed
    ]
    return header_mutation_pb2.HeaderMutation(mutations=mutations)
