"""Routes: to which pool each attempt goes, and how long it may take."""

from typing import Any

from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration
from marchproxy.model.ai import AiRoute
from marchproxy.model.route import Route
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.deciding import ATTEMPTS
from marchproxy.modules.ailb.resources.typed import typed

_SPECIFIER = "router.cluster_specifiers.priority_group.v3.PriorityGroupClusterSpecifier"
_RETRY_ON = "5xx,reset,connect-failure,refused-stream,retriable-status-codes"
# no key, no right, too slow, too many: of this pool, and not of the request
_RETRIABLE = (401, 403, 408, 429)
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.001, 0.01
# RetryPolicy.refresh_cluster_on_retry, field 14, true: our generated messages do not have it yet
_REFRESH_CLUSTER = b"\x70\x01"


def extend_action(action: Any, route: Route, ai: AiRoute) -> None:
    """Let the decider's answer name the cluster of each attempt."""
    action.inline_cluster_specifier_plugin.extension.CopyFrom(_specifier())
    action.auto_host_rewrite.value = True
    action.timeout.CopyFrom(duration(0))  # an answer has no end in sight
    action.retry_policy.CopyFrom(_retries(route, ai))
    if route.idle_timeout:  # a request is silent while it waits for an endpoint
        action.idle_timeout.CopyFrom(duration(route.idle_timeout + ai.queue.wait))
    del action.upgrade_configs[:]
    refused = wrappers_pb2.BoolValue(value=False)
    action.upgrade_configs.append(
        route_pb2.RouteAction.UpgradeConfig(upgrade_type="websocket", enabled=refused)
    )


def _specifier() -> extension_pb2.TypedExtensionConfig:
    nobody = {"name": "nobody", "clusters": [{"cluster_name": asking.OWN_CLUSTER, "weight": 1}]}
    config = {"priority_groups": [nobody], "override_metadata_namespace": ATTEMPTS}
    return extension_pb2.TypedExtensionConfig(
        name="envoy.router.cluster_specifier_plugin.priority_group", typed_config=typed(_SPECIFIER, config)
    )


def _retries(route: Route, ai: AiRoute) -> Any:
    backoff = route_pb2.RetryPolicy.RetryBackOff(
        base_interval=duration(_FIRST_BACKOFF), max_interval=duration(_LONGEST_BACKOFF)
    )
    policy = route_pb2.RetryPolicy(
        retry_on=_RETRY_ON,
        retriable_status_codes=_RETRIABLE,
        num_retries=wrappers_pb2.UInt32Value(value=ai.attempts - 1),
        retry_back_off=backoff,
    )
    if route.idle_timeout:
        policy.per_try_idle_timeout.CopyFrom(duration(route.idle_timeout))
    if ai.first_byte_timeout:
        policy.per_try_timeout.CopyFrom(duration(ai.first_byte_timeout))
    policy.MergeFromString(_REFRESH_CLUSTER)
    return policy
