"""What is for language models: `ai` of pools and of routes, and the sections of keys, allowances, prices and guardrails."""

from typing import Annotated

from pydantic import Field

from marchproxy.contract.document.schema.parts import Duration, Labels, Number, short_for
from marchproxy.kit.settings import Section
from marchproxy.model.ai import (
    AiPool,
    AiRoute,
    Allowance,
    GuardKind,
    GuardMode,
    Guardrail,
    Model,
    Pick,
    Prefer,
    Provider,
    VirtualKey,
)
from marchproxy.model.module import PoolName

_POOL = AiPool()
_ROUTE = AiRoute()
_MODEL = Model("", ())
_KEY = VirtualKey("", "")
_ALLOWANCE = Allowance("", "")
_GUARDRAIL = Guardrail("", GuardKind.REGEX)


class ScoresDocument(Section):
    """`scores` of a pool's `ai`: the weights of what speaks for an endpoint."""

    queue: Number = _POOL.scores.queue
    kv_cache: Number = _POOL.scores.kv_cache
    prefix: Number = _POOL.scores.prefix


class AiPoolDocument(Section):
    """`ai` of a pool: its endpoints serve language models."""

    provider: Provider = _POOL.provider
    models: Labels = Field(default_factory=dict)
    serves: tuple[str, ...] = ()
    base_path: str = _POOL.base_path
    credential: str = _POOL.credential
    pick: Pick = _POOL.pick
    scores: ScoresDocument = ScoresDocument()
    metrics_interval: Duration = _POOL.metrics_interval
    metrics_path: str = _POOL.metrics_path
    saturated_queue: int = _POOL.saturated_queue
    saturated_kv: Number = _POOL.saturated_kv
    in_band_errors: bool = _POOL.in_band_errors


class ModelTargetDocument(Section):
    """One of a model's `targets`; a plain text is the pool's name."""

    pool: PoolName
    weight: int = 100
    tier: int = 0
    model: str = ""


class ModelDocument(Section):
    """One of the `models` of a route's `ai`."""

    name: str
    targets: tuple[Annotated[ModelTargetDocument, short_for("pool")], ...] = ()
    aliases: tuple[str, ...] = ()
    prefer: Prefer = _MODEL.prefer


class QueueDocument(Section):
    """`queue` of a route's `ai`: requests that wait while every endpoint is full."""

    size: int = _ROUTE.queue.size
    wait: Duration = _ROUTE.queue.wait
    priority_header: str = _ROUTE.queue.priority_header


class AiRouteDocument(Section):
    """`ai` of a route: its requests are for language models."""

    models: tuple[ModelDocument, ...] = ()
    require_key: bool = _ROUTE.require_key
    guardrails: tuple[str, ...] = ()
    cache: Duration = _ROUTE.cache
    queue: QueueDocument = QueueDocument()
    first_byte_timeout: Duration = _ROUTE.first_byte_timeout
    attempts: int = _ROUTE.attempts
    default_output: int = _ROUTE.default_output
    max_body_bytes: int = _ROUTE.max_body_bytes
    affinity_header: str = _ROUTE.affinity_header


class VirtualKeyDocument(Section):
    """One of `virtual_keys`."""

    id: str
    hash: str
    user: str = _KEY.user
    team: str = _KEY.team
    models: tuple[str, ...] = ()
    expires: str = _KEY.expires
    enabled: bool = _KEY.enabled
    priority: int = _KEY.priority


class AllowanceDocument(Section):
    """One of `allowances`: how much a key, user, team or model may use."""

    id: str
    target: str
    requests_per_minute: int = _ALLOWANCE.requests_per_minute
    tokens_per_minute: int = _ALLOWANCE.tokens_per_minute
    concurrent: int = _ALLOWANCE.concurrent
    budget_day: Number = _ALLOWANCE.budget_day
    budget_month: Number = _ALLOWANCE.budget_month
    enabled: bool = _ALLOWANCE.enabled


class PriceDocument(Section):
    """One of `prices`: what a million tokens of a model cost."""

    model: str
    input: Number = 0.0
    output: Number = 0.0
    cached: Number | None = None


class GuardrailDocument(Section):
    """One of `guardrails`: a check of requests that routes name."""

    name: str
    kind: GuardKind
    mode: GuardMode = _GUARDRAIL.mode
    patterns: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    limit: int = _GUARDRAIL.limit
    url: str = _GUARDRAIL.url
    timeout: Duration = _GUARDRAIL.timeout
    fail_open: bool = _GUARDRAIL.fail_open
