"""Exposition: the few figures that count, found in an engine's `/metrics` (Prometheus' text format). Pure.

Names: https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals/003-model-server-protocol
A page has some 50 KB of histograms, so it is searched for the wanted names and never taken apart.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from marchproxy.model.ai import Provider
from marchproxy.modules.ailb.load.engine_load import EngineLoad

_MOST_REQUESTS = 1e9
_MOST_TOKENS = 10**12
#: Of one family: as many as there may be engines behind one address, and many more.
_MOST_LINES = 1024
_WHOLE = re.compile(rb'(\w+)="([0-9]{1,12})"')


class BadMetrics(Exception):
    """A page that does not say how an engine is; the words say what is missing."""


@dataclass(frozen=True, slots=True)
class Families:
    """What an engine calls its figures. `kv_usage`: names of several of its versions, the first that is there counts.

    `kv_size`: a figure whose labels say how many blocks its KV cache has, and how many tokens a block; empty: none does.
    """

    waiting: bytes
    running: bytes
    kv_usage: tuple[bytes, ...]
    kv_size: bytes = b""


FAMILIES = {
    Provider.VLLM: Families(
        b"vllm:num_requests_waiting",
        b"vllm:num_requests_running",
        (b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc"),
        b"vllm:cache_config_info",
    ),
    Provider.SGLANG: Families(b"sglang:num_queue_reqs", b"sglang:num_running_reqs", (b"sglang:token_usage",)),
}


def read_load(page: bytes, families: Families) -> EngineLoad:
    """An engine's load. One that is several (data parallel) is their sum, and the mean of their caches. Raises BadMetrics."""
    page = b"\n" + page
    waiting, running = _figures(page, families.waiting), _figures(page, families.running)
    for name, figures in ((families.waiting, waiting), (families.running, running)):
        if not figures:
            raise BadMetrics(f"it has no {name.decode()}")
    usage = next((found for name in families.kv_usage if (found := _figures(page, name))), [0.0])
    return EngineLoad(
        min(sum(waiting), _MOST_REQUESTS),
        min(sum(running), _MOST_REQUESTS),
        min(sum(usage) / len(usage), 1.0),
        _kv_tokens(page, families.kv_size),
    )


def _figures(page: bytes, name: bytes) -> list[float]:
    """The values of a family, whatever their labels; what is no number of something is none."""
    return [value for line in _lines(page, name) if (value := _value(line)) is not None]


def _value(line: bytes) -> float | None:
    """Of `{labels} value [time]`; labels may have blanks and braces in them."""
    words = line[line.rfind(b"}") + 1 :].split()
    try:
        value = float(words[0])
    except (ValueError, IndexError):
        return None
    return value if isfinite(value) and value >= 0 else None


def _lines(page: bytes, name: bytes) -> Iterator[bytes]:
    """What stands behind the name at the beginning of lines, which stand together; a longer name may begin alike."""
    wanted = b"\n" + name
    at = page.find(wanted)
    for _ in range(_MOST_LINES):
        if at < 0:
            return
        start = at + len(wanted)
        end = page.find(b"\n", start)
        end = len(page) if end < 0 else end
        if page[start : start + 1] not in {b"{", b" "}:
            at = page.find(wanted, end)
            continue
        yield page[start:end]
        at = end if page.startswith(wanted, end) else -1


def _kv_tokens(page: bytes, name: bytes) -> int:
    """How many tokens the KV cache holds; 0: nobody says."""
    if not name:
        return 0
    total = 0
    for line in _lines(page, name):
        labels = {label: int(value) for label, value in _WHOLE.findall(line)}
        total += labels.get(b"num_gpu_blocks", 0) * labels.get(b"block_size", 0)
    return min(total, _MOST_TOKENS)
