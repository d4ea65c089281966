"""`ai` of pools and of routes."""

from marchproxy.contract.convert.enums import AI_PICKS, AI_PREFERENCES, AI_PROVIDERS
from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.ai import AiPool, AiRoute, Model, ModelTarget, Queue, Scores
from marchproxy.model.module import PoolName

_POOL = AiPool()
_ROUTE = AiRoute()
_TARGET = ModelTarget(PoolName(""))
_MODEL = Model("", ())


def ai_pool_to_pb(pool: AiPool) -> types_pb2.AiPool:
    """The message."""
    return types_pb2.AiPool(
        provider=AI_PROVIDERS.to_pb(pool.provider),
        models=pool.models,
        serves=pool.serves,
        base_path=pool.base_path,
        credential=pool.credential,
        pick=AI_PICKS.to_pb(pool.pick),
        scores=types_pb2.AiScores(
            queue=pool.scores.queue, kv_cache=pool.scores.kv_cache, prefix=pool.scores.prefix
        ),
        metrics_interval=seconds_to_pb(pool.metrics_interval),
        metrics_path=pool.metrics_path,
        saturated_queue=pool.saturated_queue,
        saturated_kv=pool.saturated_kv,
        in_band_errors=None if pool.in_band_errors else False,
    )


def read_ai_pool(pb: types_pb2.AiPool, path: str, faults: Faults) -> AiPool:
    """What speaks for language models, as far as it can be read; what is left out has the model's default."""
    return AiPool(
        provider=AI_PROVIDERS.read(pb.provider, f"{path}.provider", faults) or _POOL.provider,
        models=dict(pb.models),
        serves=tuple(pb.serves),
        base_path=pb.base_path,
        credential=pb.credential,
        pick=AI_PICKS.read(pb.pick, f"{path}.pick", faults) or _POOL.pick,
        scores=Scores(pb.scores.queue, pb.scores.kv_cache, pb.scores.prefix)
        if pb.HasField("scores")
        else _POOL.scores,
        metrics_interval=read_seconds(pb.metrics_interval, f"{path}.metrics_interval", faults)
        if pb.HasField("metrics_interval")
        else _POOL.metrics_interval,
        metrics_path=pb.metrics_path or _POOL.metrics_path,
        saturated_queue=pb.saturated_queue or _POOL.saturated_queue,
        saturated_kv=pb.saturated_kv or _POOL.saturated_kv,
        in_band_errors=pb.in_band_errors if pb.HasField("in_band_errors") else _POOL.in_band_errors,
    )


def ai_route_to_pb(route: AiRoute) -> types_pb2.AiRoute:
    """The message."""
    queue = route.queue
    return types_pb2.AiRoute(
        models=[_model_to_pb(model) for model in route.models],
        require_key=None if route.require_key else False,
        guardrails=route.guardrails,
        cache=seconds_to_pb(route.cache),
        queue=types_pb2.AiQueue(
            size=queue.size, wait=seconds_to_pb(queue.wait), priority_header=queue.priority_header
        ),
        first_byte_timeout=seconds_to_pb(route.first_byte_timeout),
        attempts=route.attempts,
        default_output=route.default_output,
        max_body_bytes=route.max_body_bytes,
        affinity_header=route.affinity_header,
    )


def read_ai_route(pb: types_pb2.AiRoute, path: str, faults: Faults) -> AiRoute:
    """What a route to language models has beside, as far as it can be read; what is left out has the model's default."""
    return AiRoute(
        models=tuple(
            _read_model(model, f"{path}.models[{number}]", faults) for number, model in enumerate(pb.models)
        ),
        require_key=pb.require_key if pb.HasField("require_key") else _ROUTE.require_key,
        guardrails=tuple(pb.guardrails),
        cache=read_seconds(pb.cache, f"{path}.cache", faults) if pb.HasField("cache") else _ROUTE.cache,
        queue=_read_queue(pb.queue, f"{path}.queue", faults),
        first_byte_timeout=read_seconds(pb.first_byte_timeout, f"{path}.first_byte_timeout", faults)
        if pb.HasField("first_byte_timeout")
        else _ROUTE.first_byte_timeout,
        attempts=pb.attempts or _ROUTE.attempts,
        default_output=pb.default_output or _ROUTE.default_output,
        max_body_bytes=pb.max_body_bytes or _ROUTE.max_body_bytes,
        affinity_header=pb.affinity_header,
    )


def _read_queue(pb: types_pb2.AiQueue, path: str, faults: Faults) -> Queue:
    default = _ROUTE.queue
    return Queue(
        size=pb.size if pb.HasField("size") else default.size,
        wait=read_seconds(pb.wait, f"{path}.wait", faults) if pb.HasField("wait") else default.wait,
        priority_header=pb.priority_header,
    )


def _model_to_pb(model: Model) -> types_pb2.AiModel:
    return types_pb2.AiModel(
        name=model.name,
        targets=[
            types_pb2.AiTarget(pool=target.pool, weight=target.weight, tier=target.tier, model=target.model)
            for target in model.targets
        ],
        aliases=model.aliases,
        prefer=AI_PREFERENCES.to_pb(model.prefer),
    )


def _read_model(pb: types_pb2.AiModel, path: str, faults: Faults) -> Model:
    return Model(
        name=pb.name,
        targets=tuple(
            ModelTarget(
                PoolName(target.pool),
                target.weight if target.HasField("weight") else _TARGET.weight,
                target.tier,
                target.model,
            )
            for target in pb.targets
        ),
        aliases=tuple(pb.aliases),
        prefer=AI_PREFERENCES.read(pb.prefer, f"{path}.prefer", faults) or _MODEL.prefer,
    )
