"""Exposition: what the decider counts, as text that Prometheus reads. Bounded; no I/O.

Names, units, labels and buckets of what OpenTelemetry has words for are its own, as Prometheus writes them; the rest begins with
marchproxy_ailb. Of the conventions' labels `error.type` and `gen_ai.response.model` are left out: `requests_total` has reasons,
and models by their providers' names nobody bounds.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from math import inf
from typing import TypeAlias

from marchproxy.engines.envoy.metrics.exposition import label_text
from marchproxy.modules.ailb.choice import Standing
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.ledger.prices import MICRO
from marchproxy.modules.ailb.load.gpus import Known
from marchproxy.modules.ailb.talk import Counts
from marchproxy.modules.ailb.tally import Tally, TallyKey, Times

_PREFIX = "marchproxy_ailb_"
_CONVENTIONAL = {operation.value: operation.conventional for operation in Operation}
#: Name, what it says, and the attributes that it is made of, with the label that tells these apart.
_HISTOGRAMS = (
    (
        "gen_ai_server_request_duration_seconds",
        "From a request until the end of its answer.",
        {"duration": ""},
    ),
    (
        "gen_ai_server_time_to_first_token_seconds",
        "From a request until its answer began.",
        {"first_token": ""},
    ),
    (
        "gen_ai_server_time_per_output_token_seconds",
        "Between two tokens of a stream, on average.",
        {"per_token": ""},
    ),
    (
        "gen_ai_client_token_usage",
        "Tokens of a request, where they were counted.",
        {"input_usage": ',gen_ai_token_type="input"', "output_usage": ',gen_ai_token_type="output"'},
    ),
    (f"{_PREFIX}queue_seconds", "Time that requests waited for an endpoint that had to.", {"queue_time": ""}),
)
_TOKENS = {"input": "input_tokens", "output": "output_tokens", "cached": "cached_tokens"}
#: The labels of a tally.
Labels: TypeAlias = Callable[[TallyKey], str]
_NUMBERS = {
    "under_way": ("gauge", "Requests that have not been reported yet."),
    "waiting": ("gauge", "Requests that wait for an endpoint."),
    "granted": ("counter", "Reservations."),
    "refused": ("counter", "Requests that an allowance refused."),
    "settled": ("counter", "Reservations that were settled by a report."),
    "lost": ("counter", "Reservations that nobody has reported in time."),
    "late": ("counter", "Reports of requests that were settled already, or that nobody knows."),
    "garbled": ("counter", "Reports that were none."),
    "unwritten": ("counter", "Requests that the journal could not keep."),
}
_MOST_ENDPOINTS = 500
_STANDING = {
    "in_flight": ("in_flight", "gauge", "Requests of ours that are there."),
    "there": ("requests", "gauge", "Requests that are there, as far as it is known."),
    "waiting": ("waiting", "gauge", "Requests that wait there, as far as it is known."),
    "kv_usage": ("kv_usage", "gauge", "Share of its KV cache in use, as it says."),
    "is_sound": ("sound", "gauge", "Whether it is asked."),
    "blocks": (
        "prefix_blocks_total",
        "counter",
        "Blocks of prompts that were sent there, where prefixes count.",
    ),
    "cached": ("prefix_cached_blocks_total", "counter", "Those of them that had been sent there before."),
}


_GPUS: Sequence[tuple[str, str, Callable[[Known], float | None]]] = (
    ("temperature_celsius", "How warm a GPU of this host is.", lambda one: one.device.temperature),
    ("memory_used_bytes", "How much of its memory is in use.", lambda one: one.device.memory_used),
    ("memory_total_bytes", "How much memory it has.", lambda one: one.device.memory_total),
    ("fit", "Whether engines that start now are asked.", lambda one: not one.fault(inf)),
)


def render(
    tallies: Mapping[TallyKey, Tally],
    counts: Counts,
    providers: Mapping[str, str],
    gpus: Iterable[Known] = (),
) -> bytes:
    """The text in format 0.0.4. `providers`: what each pool's is called."""
    labels = partial(_labels, providers)
    lines = [
        *_counters(tallies, labels),
        *_tokens(tallies, labels),
        *_sums(tallies, labels),
        *_histograms(tallies, labels),
        *_numbers(counts),
        *_shed(counts),
        *_endpoints(counts.endpoints),
        *_gpus(gpus),
    ]
    return ("\n".join(lines) + "\n").encode()


def _counters(tallies: Mapping[TallyKey, Tally], labels: Labels) -> Iterator[str]:
    for attribute, name, label, text in (
        ("endings", "requests_total", "reason", "Requests that were let pass, by how they ended."),
        ("refusals", "denied_total", "reason", "Requests that were not let pass, by reason."),
        (
            "credential",
            "credential_refused_total",
            "status",
            "Attempts at which a provider refused the pool's credential.",
        ),
        ("cache", "cache_total", "result", "Requests whose answers may be kept, by whether one was."),
        ("findings", "findings_total", "guardrail", "Requests in which a guardrail found something."),
    ):
        yield from _family(
            _PREFIX + name,
            "counter",
            text,
            (
                (f"{labels(key)},{label_text(((label, value),))}", count)
                for key, tally in tallies.items()
                for value, count in getattr(tally, attribute).items()
            ),
        )


def _tokens(tallies: Mapping[TallyKey, Tally], labels: Labels) -> Iterator[str]:
    values = (
        (f'{labels(key)},type="{kind}"', getattr(tally, attribute))
        for key, tally in tallies.items()
        if tally.endings
        for kind, attribute in _TOKENS.items()
    )
    text = "Tokens that were used; the cached ones are input, too."
    yield from _family(f"{_PREFIX}tokens_total", "counter", text, values)


def _sums(tallies: Mapping[TallyKey, Tally], labels: Labels) -> Iterator[str]:
    used = [(labels(key), tally) for key, tally in tallies.items() if tally.endings]
    costs = ((text, tally.cost / MICRO) for text, tally in used)
    yield from _family(f"{_PREFIX}cost_total", "counter", "Money, in the currency of the prices.", costs)
    uncounted = ((text, tally.uncounted) for text, tally in used)
    text = "Requests of which nobody could say what they used: it was guessed, or what was reserved."
    yield from _family(f"{_PREFIX}uncounted_total", "counter", text, uncounted)
    unpriced = ((text, tally.unpriced_tokens) for text, tally in used if tally.unpriced_tokens)
    text = "Tokens of models that have no price, which no budget counts."
    yield from _family(f"{_PREFIX}unpriced_tokens_total", "counter", text, unpriced)


def _histograms(tallies: Mapping[TallyKey, Tally], labels: Labels) -> Iterator[str]:
    """Of all keys together: each is as many lines as it has bounds."""
    groups: dict[TallyKey, list[Tally]] = {}
    for key, tally in tallies.items():
        if tally.endings:
            groups.setdefault(key._replace(key=""), []).append(tally)
    for name, text, attributes in _HISTOGRAMS:
        lines = [
            line
            for key, group in groups.items()
            for attribute, more in attributes.items()
            for line in _histogram(name, labels(key) + more, [getattr(tally, attribute) for tally in group])
        ]
        if lines:
            yield from _head(name, "histogram", text)
            yield from lines


def _histogram(name: str, labels: str, times: Sequence[Times]) -> Iterator[str]:
    buckets: Counter[int] = Counter()
    for one in times:
        buckets.update(dict(enumerate(one.buckets)))
    bounds = times[0].bounds
    cumulated = tuple(accumulate(buckets[at] for at in range(len(bounds) + 1)))
    if not cumulated[-1]:
        return
    for edge, count in zip((*(f"{bound:g}" for bound in bounds), "+Inf"), cumulated, strict=True):
        yield f'{name}_bucket{{{labels},le="{edge}"}} {count}'
    yield f"{name}_sum{{{labels}}} {sum(one.total for one in times):.9g}"
    yield f"{name}_count{{{labels}}} {cumulated[-1]}"


def _numbers(counts: Counts) -> Iterator[str]:
    for attribute, (kind, text) in _NUMBERS.items():
        name = f"{_PREFIX}{attribute}" + ("_total" if kind == "counter" else "")
        yield from _head(name, kind, text)
        yield f"{name} {getattr(counts, attribute)}"


def _shed(counts: Counts) -> Iterator[str]:
    values = ((label_text((("reason", reason),)), count) for reason, count in counts.shed.items())
    text = "Requests that found every endpoint full and were not served."
    yield from _family(f"{_PREFIX}shed_total", "counter", text, values)


def _endpoints(standings: Sequence[Standing]) -> Iterator[str]:
    labelled = [
        (label_text((("pool", one.pool), ("endpoint", one.address))), one)
        for one in standings[:_MOST_ENDPOINTS]
    ]
    for attribute, (suffix, kind, text) in _STANDING.items():
        values = ((labels, getattr(one, attribute)) for labels, one in labelled)
        known = ((labels, float(value)) for labels, value in values if value is not None)
        yield from _family(f"{_PREFIX}endpoint_{suffix}", kind, text, known)


def _gpus(gpus: Iterable[Known]) -> Iterator[str]:
    labelled = [
        (label_text((("gpu", str(one.device.index)), ("uuid", one.device.uuid))), one) for one in gpus
    ]
    for suffix, text, read in _GPUS:
        values = ((labels, read(one)) for labels, one in labelled)
        known = ((labels, float(value)) for labels, value in values if value is not None)
        yield from _family(f"{_PREFIX}gpu_{suffix}", "gauge", text, known)


def _labels(providers: Mapping[str, str], key: TallyKey) -> str:
    pairs = (
        ("route", key.route),
        ("operation", key.operation),
        ("gen_ai_operation_name", _CONVENTIONAL.get(key.operation, "")),
        ("gen_ai_provider_name", providers.get(key.pool, "")),
        ("gen_ai_request_model", key.model),
        ("pool", key.pool),
        ("key", key.key),
    )
    return label_text(tuple(pair for pair in pairs if pair[1]))


def _family(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    lines = [f"{name}{{{labels.lstrip(',')}}} {value:.15g}" for labels, value in values]
    if lines:
        yield from _head(name, kind, text)
        yield from lines


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
