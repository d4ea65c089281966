"""Language models: what pools, routes and the whole state say of them. Frozen values; no I/O.

Money is in one currency that nobody names: that of the price table. Tokens are as providers count them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from marchproxy.model.module import PoolName

#: Stands for any model, and as the end of a name for any that begins so.
ANY_MODEL = "*"


class Dialect(Enum):
    """Whose API is spoken. The value is the name used in documents."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Provider(Enum):
    """What a pool's endpoints are: it decides dialect, paths, how a credential is sent, and what their metrics are called."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"
    VLLM = "vllm"
    SGLANG = "sglang"
    COMPATIBLE = "openai_compatible"

    @property
    def dialect(self) -> Dialect:
        """What its endpoints speak."""
        return Dialect.ANTHROPIC if self is Provider.ANTHROPIC else Dialect.OPENAI

    @property
    def is_engine(self) -> bool:
        """Whether its endpoints say by `/metrics` how full their queues and KV caches are."""
        return self in {Provider.VLLM, Provider.SGLANG}


class Pick(Enum):
    """How one of a pool's endpoints is chosen.

    SCORED adds up what speaks for each: a short queue, a KV cache with room, a prompt whose beginning it has seen.
    """

    SCORED = "scored"
    LEAST_PENDING = "least_pending"
    ROUND_ROBIN = "round_robin"


class Prefer(Enum):
    """Which of a model's targets of one tier is chosen: as their weights say, the cheapest, or the fastest of late."""

    WEIGHT = "weight"
    COST = "cost"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost. `cached`: of input that the provider had in its cache; None: as `input`."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Weights of what speaks for an endpoint; 0: it does not count."""

    queue: float = 2.0
    kv_cache: float = 2.0
    prefix: float = 3.0


@dataclass(frozen=True, slots=True)
class AiPool:
    """Endpoints that serve language models.

    `models`: by the name that clients and routes use, the one that the endpoints know; a model that is not in it keeps its
    name. `serves`: which models it has (patterns with a `*` at the end); none: any. `base_path` replaces `/v1` in front of
    the provider's paths (`/`: nothing stands there). `credential`: a file with the key that the provider is shown; empty: none is sent.
    `metrics_interval` seconds between looks at an engine's `/metrics`, 0: none. `saturated_queue` (requests) and
    `saturated_kv` (0 to 1): an endpoint at either of these is full.
    `in_band_errors`: streams pass through a relay of ours, which ends one that the
    endpoint breaks off with an error in the client's dialect, and counts its tokens one by one.
    """

    provider: Provider = Provider.COMPATIBLE
    models: Mapping[str, str] = field(default_factory=dict, hash=False)
    serves: tuple[str, ...] = ()
    base_path: str = ""
    credential: str = ""
    pick: Pick = Pick.SCORED
    scores: Scores = Scores()
    metrics_interval: float = 0.05
    metrics_path: str = "/metrics"
    saturated_queue: int = 5
    saturated_kv: float = 0.8
    in_band_errors: bool = True

    @property
    def base(self) -> str:
        """What stands in front of the paths of operations."""
        return self.base_path.rstrip("/") if self.base_path else "/v1"


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """A pool that answers for a model. Those of the lowest `tier` are asked first, the others when these fail.

    `weight`: its share of its tier, in percent. `model`: the name it is asked for there; empty: the one that was asked.
    """

    pool: PoolName
    weight: int = 100
    tier: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as clients name it (a `*` at the end: any that begins so) and who answers for it; `aliases` mean it too."""

    name: str
    targets: tuple[ModelTarget, ...]
    aliases: tuple[str, ...] = ()
    prefer: Prefer = Prefer.WEIGHT


@dataclass(frozen=True, slots=True)
class Queue:
    """Requests that wait while every endpoint is full. `size` 0: none do, they are told to come back.

    `wait`: seconds, the longest. `priority_header`: a request header with a number from 0 (first) to 9; empty: everyone is
    as important as the other; a key's own priority is the best it may ask for.
    """

    size: int = 1000
    wait: float = 30.0
    priority_header: str = ""


class GuardMode(Enum):
    """What becomes of what a guardrail finds: it is logged, replaced by a word that says what it was, or refused."""

    LOG = "log"
    REDACT = "redact"
    BLOCK = "block"


class GuardKind(Enum):
    """What a guardrail looks for.

    REGEX its `patterns` (RE2's common part with Python); PII what `entities` names; INJECTION attempts to override
    instructions; MAX_TOKENS an output of more than `limit`, or of any length; TOOLS tools beyond `allowed`; HTTP asks `url`.
    """

    REGEX = "regex"
    PII = "pii"
    INJECTION = "injection"
    MAX_TOKENS = "max_tokens"
    TOOLS = "tools"
    HTTP = "http"


#: What PII may look for.
PII_ENTITIES = frozenset({"email", "phone", "credit_card", "iban", "ip_address", "us_ssn", "api_key"})


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A check of requests before they are sent; routes name those that they want, in order.

    `fail_open`: whether a request passes when `url` does not answer within `timeout` seconds.
    """

    name: str
    kind: GuardKind
    mode: GuardMode = GuardMode.BLOCK
    patterns: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    limit: int = 0
    url: str = ""
    timeout: float = 1.0
    fail_open: bool = False


@dataclass(frozen=True, slots=True)
class AiRoute:
    """Requests for language models at the paths of their APIs below the route's path (`/v1/chat/completions`, …).

    `models`: what may be asked for, the first that fits answers. `require_key`: whether a virtual key is needed. `guardrails`: by
    name, in order. `cache`: seconds for which an answer to the very same request is kept, 0: not. `first_byte_timeout`:
    seconds until an attempt has begun to answer, and `idle_timeout` of the route between two pieces of it, before another
    target is tried, or the client is told. `attempts`: of all targets together. `default_output`: tokens that are reserved
    for a request that names no maximum. `max_body_bytes`: more is refused. `affinity_header`: a request header whose value
    keeps to one endpoint; empty: none does.
    """

    models: tuple[Model, ...] = ()
    require_key: bool = True
    guardrails: tuple[str, ...] = ()
    cache: float = 0.0
    queue: Queue = Queue()
    first_byte_timeout: float = 60.0
    attempts: int = 3
    default_output: int = 1024
    max_body_bytes: int = 4 * 1024 * 1024
    affinity_header: str = ""


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """A key that clients show in place of a provider's. `hash`: SHA-256 of it, in hex; the key itself is kept nowhere.

    `models` (patterns) it may ask for, none: any. `expires`: ISO 8601, empty: never. `priority`: 0 (first) to 9.
    """

    key_id: str
    hash: str
    user: str = ""
    team: str = ""
    models: tuple[str, ...] = ()
    expires: str = ""
    enabled: bool = True
    priority: int = 5


class AllowanceScope(Enum):
    """Whose an allowance is: the value is the word before the colon of its target."""

    KEY = "key"
    USER = "user"
    TEAM = "team"
    MODEL = "model"
    EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much a target may use; 0: any amount; all given ones hold. `target`: `key:ID`, `user:NAME`, `team:NAME`,
    `model:NAME`, or `*`; with `*` as the name, each of them has one of its own.

    Minutes slide (a bucket that fills evenly); `budget_day` and `budget_month` are money from midnight UTC and from the
    first of the month. `concurrent`: requests at once.
    """

    allowance_id: str
    target: str
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent: int = 0
    budget_day: float = 0.0
    budget_month: float = 0.0
    enabled: bool = True

    @property
    def scope(self) -> AllowanceScope | None:
        """Whose it is; None: the word before the colon is none that is known."""
        if self.target == AllowanceScope.EVERYTHING.value:
            return AllowanceScope.EVERYTHING
        word, colon, _ = self.target.partition(":")
        named = (scope for scope in AllowanceScope if scope is not AllowanceScope.EVERYTHING)
        return next((scope for scope in named if colon and scope.value == word), None)

    @property
    def subject(self) -> str:
        """The name in the target."""
        return self.target.partition(":")[2]


@dataclass(frozen=True, slots=True)
class PricedModel:
    """The price of a model by the name that providers know (a `*` at the end: any that begins so)."""

    model: str
    price: Price


@dataclass(frozen=True, slots=True)
class AiRules:
    """What holds for all routes to language models. `keys_file`: more keys, in a file that is read again when it changes.

    `prices` by the model's name as providers know it (a `*` at the end: any that begins so).
    """

    keys: tuple[VirtualKey, ...] = ()
    keys_file: str = ""
    allowances: tuple[Allowance, ...] = ()
    prices: Mapping[str, Price] = field(default_factory=dict, hash=False)
    guardrails: tuple[Guardrail, ...] = ()
