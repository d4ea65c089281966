"""What documents may say of language models, made up."""

from dataclasses import replace

from hypothesis import strategies as st

from marchproxy.model.ai import (
    PII_ENTITIES,
    AiPool,
    AiRoute,
    Allowance,
    GuardKind,
    GuardMode,
    Guardrail,
    Model,
    ModelTarget,
    Pick,
    Prefer,
    Price,
    PricedModel,
    Provider,
    Queue,
    Scores,
    VirtualKey,
)
from tests.unit.contract.document.made.parts import NAMES, PORTS, WAITS, distinct, shares

MODEL_NAMES = st.sampled_from(["gpt-4o", "Qwen/Qwen3:8b", "claude[1m]", "é"])
PATTERNS_OF_MODELS = st.sampled_from(["gpt-*", "*", "o1"])
AI_POOLS = st.builds(
    AiPool,
    provider=st.sampled_from([Provider.VLLM, Provider.SGLANG]),
    models=st.dictionaries(MODEL_NAMES, MODEL_NAMES, max_size=2),
    serves=st.sampled_from([(), ("*",), ("o1", "gpt-*", "*")]),
    base_path=st.sampled_from(["", "/", "/é/v1"]),
    credential=st.sampled_from(["", "/k é"]),
    scores=st.builds(Scores, st.floats(0.5, 9), st.floats(0, 9), st.floats(0, 9) | st.just(-0.0)),
    metrics_interval=st.floats(0.01, 60) | st.just(-0.0),
    metrics_path=st.sampled_from(["/metrics", "/m/é"]),
    saturated_queue=st.integers(1, 99),
    saturated_kv=st.floats(0.01, 1),
    in_band_errors=st.booleans(),
)
AI_POOLS |= st.builds(AiPool, st.just(Provider.OPENAI), pick=st.sampled_from(Pick))


@st.composite
def models(draw, name, pools):
    """A model with two tiers; the weights of each add up, where they count."""
    tiers = [draw(shares(pools)) or [(pools[0], 100)], [(pools[-1], 100)]]
    prefer = draw(st.sampled_from(Prefer))
    targets = tuple(
        ModelTarget(pool, weight if prefer is Prefer.WEIGHT else 100, tier, "other" if tier else "")
        for tier, split_ in enumerate(tiers)
        for pool, weight in split_
    )
    return Model(name, targets, draw(st.just(()) | st.just((f"{name}-alias",))), prefer)


@st.composite
def ai_options(draw, pools):
    """`ai` of a route."""
    return AiRoute(
        tuple(draw(models(name, pools)) for name in draw(distinct(MODEL_NAMES, min_size=1, max_size=2))),
        guardrails=draw(distinct(st.sampled_from([guardrail.name for guardrail in GUARDRAILS]))),
        cache=draw(st.floats(0, 86400) | st.just(-0.0)),
        queue=draw(st.builds(Queue, st.integers(1, 9), WAITS, st.sampled_from(["", "x-p"])) | st.just(Queue(0, -0.0))),
        first_byte_timeout=draw(WAITS),
        attempts=draw(st.integers(1, 10)),
        default_output=draw(st.integers(1, 9)),
        max_body_bytes=draw(st.integers(1, 2**26)),
        affinity_header=draw(st.sampled_from(["", "x-session"])),
        require_key=draw(st.booleans()),
    )  # fmt: skip


GUARDRAILS = (
    Guardrail("words", GuardKind.REGEX, GuardMode.REDACT, patterns=("a{1,9}é", "b")),
    Guardrail("pii", GuardKind.PII, GuardMode.LOG, entities=tuple(sorted(PII_ENTITIES))),
    Guardrail("tools", GuardKind.TOOLS, allowed=("get_*",)),
    Guardrail("asked", GuardKind.HTTP, url="https://é.example/", timeout=2.5, fail_open=True),
    Guardrail("length", GuardKind.MAX_TOKENS, limit=7),
)
KEYS = st.builds(
    VirtualKey,
    st.just(""),
    st.just(""),
    st.sampled_from(["", "ann@b.example", "é"]),
    st.sampled_from(["", "search"]),
    distinct(PATTERNS_OF_MODELS),
    st.sampled_from(["", "2030-01-31T12:00:00Z", "2030-01-31T12:00:00.5+02:00"]),
    st.booleans(),
    st.integers(0, 9),
)
ALLOWANCES = st.builds(
    Allowance,
    st.just(""),
    st.just(""),
    st.integers(1, 9),
    PORTS,
    PORTS,
    st.floats(0, 1e9) | st.just(-0.0),
    st.floats(0, 1e9),
    st.booleans(),
)
PRICES = st.builds(Price, st.floats(0, 99) | st.just(-0.0), st.floats(0, 99), st.none() | st.floats(0, 99))


@st.composite
def spending(draw):
    """Keys, allowances and prices."""
    ids = draw(distinct(NAMES, max_size=3))
    targets = draw(distinct(st.sampled_from(["*", "key:*", "user:é", "team:search", "model:gpt-4o"])))
    priced = draw(distinct(PATTERNS_OF_MODELS | MODEL_NAMES))
    return {
        "virtual_keys": tuple(
            replace(draw(KEYS), key_id=key_id, hash=f"{at:064x}") for at, key_id in enumerate(ids)
        ),
        "allowances": tuple(
            replace(draw(ALLOWANCES), allowance_id=f"a{at}", target=target)
            for at, target in enumerate(targets)
        ),
        "prices": tuple(PricedModel(model, draw(PRICES)) for model in priced),
    }
