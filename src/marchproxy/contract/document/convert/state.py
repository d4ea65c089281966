"""The whole state, with the sections that are small."""

from collections.abc import Callable, Mapping
from typing import Any

from marchproxy.contract.document.convert.ai import (
    allowance,
    allowance_document,
    guardrail,
    guardrail_document,
    priced_model,
    priced_model_document,
    virtual_key,
    virtual_key_document,
)
from marchproxy.contract.document.convert.http import authentication, authentication_document
from marchproxy.contract.document.convert.listener import listener, listener_document
from marchproxy.contract.document.convert.pool import pool, pool_document
from marchproxy.contract.document.convert.route import route, route_document
from marchproxy.contract.document.schema.state import RateLimitDocument, ScalingDocument, StateDocument
from marchproxy.kit.settings import Section
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.scaling import ScalingConfig, ScalingLimits
from marchproxy.model.state import DesiredState


def to_model(document: StateDocument) -> DesiredState:
    """The state that the document describes; version weights come in the order of the versions."""
    return DesiredState(
        listeners=tuple(listener(item) for item in document.listeners),
        routes=tuple(route(item) for item in document.routes),
        pools=tuple(pool(item) for item in document.pools),
        rate_limits=tuple(_limit(item) for item in document.rate_limits),
        scaling=tuple(_scaling(item) for item in document.scaling),
        authentication=tuple(authentication(item) for item in document.authentication),
        virtual_keys=tuple(virtual_key(item) for item in document.virtual_keys),
        allowances=tuple(allowance(item) for item in document.allowances),
        prices=tuple(priced_model(item) for item in document.prices),
        guardrails=tuple(guardrail(item) for item in document.guardrails),
    )


def from_model(state: DesiredState) -> StateDocument:
    """The document that describes the state. Raises pydantic's ValidationError on values no document can hold."""
    return StateDocument(
        listeners=tuple(listener_document(item) for item in state.listeners),
        routes=tuple(route_document(item) for item in state.routes),
        pools=tuple(pool_document(item) for item in state.pools),
        rate_limits=tuple(_limit_document(item) for item in state.rate_limits),
        scaling=tuple(_scaling_document(item) for item in state.scaling),
        authentication=tuple(authentication_document(item) for item in state.authentication),
        virtual_keys=tuple(virtual_key_document(item) for item in state.virtual_keys),
        allowances=tuple(allowance_document(item) for item in state.allowances),
        prices=tuple(priced_model_document(item) for item in state.prices),
        guardrails=tuple(guardrail_document(item) for item in state.guardrails),
    )


def _limit(item: RateLimitDocument) -> RateLimit:
    return RateLimit(
        limit_id=LimitId(item.id),
        target=item.target,
        per_second=item.requests_per_second,
        per_minute=item.requests_per_minute,
        per_hour=item.requests_per_hour,
        burst=item.burst_size,
        enabled=item.enabled,
        per=item.per,
        shared=item.shared,
        counts=item.counts,
        max_concurrent=item.max_concurrent,
        metadata=dict(item.metadata),
    )


def _limit_document(item: RateLimit) -> RateLimitDocument:
    return RateLimitDocument(
        id=item.limit_id,
        target=item.target,
        requests_per_second=item.per_second,
        requests_per_minute=item.per_minute,
        requests_per_hour=item.per_hour,
        burst_size=item.burst,
        enabled=item.enabled,
        per=item.per,
        shared=item.shared,
        counts=item.counts,
        max_concurrent=item.max_concurrent,
        metadata=dict(item.metadata),
    )


def _scaling(item: ScalingDocument) -> ScalingConfig:
    return ScalingConfig(
        module_type=item.module,
        limits=ScalingLimits(item.min_instances, item.max_instances),
        cpu_percent=item.target_cpu_percent,
        memory_percent=item.target_memory_percent,
        memory_limit_mb=item.memory_limit_mb,
        connections=item.target_connections,
        latency_ms=item.target_latency_ms + 0.0,
        max_error_percent=item.max_error_percent,
        up_threshold=item.scale_up_threshold,
        down_threshold=item.scale_down_threshold,
        cooldown=item.cooldown,
        enabled=item.enabled,
    )


def _scaling_document(item: ScalingConfig) -> ScalingDocument:
    return ScalingDocument(
        module=item.module_type,
        min_instances=item.limits.minimum,
        max_instances=item.limits.maximum,
        target_cpu_percent=item.cpu_percent,
        target_memory_percent=item.memory_percent,
        memory_limit_mb=item.memory_limit_mb,
        target_connections=item.connections,
        target_latency_ms=item.latency_ms,
        max_error_percent=item.max_error_percent,
        scale_up_threshold=item.up_threshold,
        scale_down_threshold=item.down_threshold,
        cooldown=item.cooldown,
        enabled=item.enabled,
    )


#: What makes the document of one item, by the name of its section.
ITEM_DOCUMENTS: Mapping[str, Callable[[Any], Section]] = {
    "listeners": listener_document,
    "routes": route_document,
    "pools": pool_document,
    "rate_limits": _limit_document,
    "scaling": _scaling_document,
    "authentication": authentication_document,
    "virtual_keys": virtual_key_document,
    "allowances": allowance_document,
    "prices": priced_model_document,
    "guardrails": guardrail_document,
}
