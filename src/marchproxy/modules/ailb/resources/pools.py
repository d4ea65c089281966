"""Pools: what a cluster of endpoints that serve language models has beside others, and its twin behind the relays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2, outlier_detection_pb2
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.load_balancing_policies.override_host.v3 import override_host_pb2
from envoy.extensions.load_balancing_policies.random.v3 import random_pb2
from envoy.extensions.load_balancing_policies.round_robin.v3 import round_robin_pb2
from envoy.type.metadata.v3 import metadata_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.model.ai import AiPool
from marchproxy.model.pool import BackendPool, BalancePolicy
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.attempts import pool_filters, relay_filters
from marchproxy.modules.ailb.resources.deciding import TOLD
from marchproxy.modules.ailb.resources.own_clusters import (
    HTTP_OPTIONS,
    Options,
    add_filters,
    http1,
    http2,
    own_cluster,
)
from marchproxy.modules.ailb.resources.spans import PROVIDER

_LOOK_SECONDS, _LEFT_OUT_SECONDS = 0.5, 1.0
_Policy = cluster_pb2.LoadBalancingPolicy
_OTHERWISE: dict[BalancePolicy, tuple[str, Message]] = {
    BalancePolicy.ROUND_ROBIN: ("round_robin", round_robin_pb2.RoundRobin()),
    BalancePolicy.RANDOM: ("random", random_pb2.Random()),
}
_LEAST = ("least_request", least_request_pb2.LeastRequest())


def extend_pool(cluster: Any, pool: BackendPool, ai: AiPool) -> None:
    """Have each attempt go to the endpoint that the decider named for it, as the provider wants it."""
    options = http1()
    packed = cluster.typed_extension_protocol_options[HTTP_OPTIONS]
    if packed.Is(Options.DESCRIPTOR):
        options = Options.FromString(packed.value)
    add_filters(options, pool_filters(pool, ai))
    packed.CopyFrom(pack(options))
    _name_provider(cluster, ai)
    for field in ("lb_policy", "least_request_lb_config", "round_robin_lb_config"):
        cluster.ClearField(field)
    cluster.load_balancing_policy.CopyFrom(_as_told(pool))


def relay_twin(pool: BackendPool, relays: Sequence[Path]) -> Any:
    """The cluster in which a relay stands between."""
    cluster = own_cluster(asking.relay_cluster(pool.name), relays, http2(), relay_filters(pool))
    cluster.outlier_detection.CopyFrom(_left_out())
    # logs, spans and words name it
    cluster.metadata.filter_metadata["marchproxy"].update({"pool": str(pool.name)})
    if pool.ai is not None:
        _name_provider(cluster, pool.ai)
    return cluster


def _name_provider(cluster: Any, ai: AiPool) -> None:
    namespace, name = PROVIDER
    cluster.metadata.filter_metadata[namespace].update({name: ai.provider.value})


def _left_out() -> Any:
    """A relay that cannot be reached is left out until it may have been started again; one that says an engine failed is not."""
    every, never = wrappers_pb2.UInt32Value(value=100), wrappers_pb2.UInt32Value(value=0)
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=wrappers_pb2.UInt32Value(value=1),
        enforcing_consecutive_local_origin_failure=every,
        enforcing_local_origin_success_rate=never,
        enforcing_consecutive_5xx=never,
        enforcing_consecutive_gateway_failure=never,
        enforcing_success_rate=never,
        max_ejection_percent=every,
        interval=duration(_LOOK_SECONDS),
        base_ejection_time=duration(_LEFT_OUT_SECONDS),
        max_ejection_time=duration(_LEFT_OUT_SECONDS),
    )


def _as_told(pool: BackendPool) -> Any:
    """Where the decider named none of its endpoints: as the pool's own balance says."""
    name, config = _OTHERWISE.get(pool.balance, _LEAST)
    key = metadata_pb2.MetadataKey(key=TOLD, path=[metadata_pb2.MetadataKey.PathSegment(key=asking.HOST)])
    policy = override_host_pb2.OverrideHost(
        override_host_sources=[override_host_pb2.OverrideHost.OverrideHostSource(metadata=key)],
        fallback_policy=_policy(f"envoy.load_balancing_policies.{name}", config),
    )
    return _policy("envoy.load_balancing_policies.override_host", policy)


def _policy(name: str, config: Message) -> Any:
    policy = _Policy()
    policy.policies.add().typed_extension_config.name = name
    policy.policies[0].typed_extension_config.typed_config.CopyFrom(pack(config))
    return policy
