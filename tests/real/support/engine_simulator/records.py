"""Records: what an engine did for each request, counted by itself; and its metrics as vLLM names them."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.real.support.engine_simulator.prefix_cache import PrefixCache


@dataclass(slots=True)
class Record:
    """One request. `emitted`: tokens whose events were written out whole. Times: of the machine's monotonic clock.

    `ended`: `done`, `failed` (as it was told to), `gone` (the other side left), or empty while it is under way.
    """

    id: str
    tag: str
    operation: str
    model: str
    stream: bool
    credential: str
    prompt_tokens: int
    cached_tokens: int
    began: float = field(default_factory=time.monotonic)
    first: float = 0.0
    last: float = 0.0
    ended_at: float = 0.0
    emitted: int = 0
    ended: str = ""

    def end(self, how: str) -> None:
        """Once only: what came first counts."""
        if not self.ended:
            self.ended = how
            self.ended_at = time.monotonic()


@dataclass(slots=True)
class Records:
    """All of an engine's."""

    cache: PrefixCache
    requests: list[Record] = field(default_factory=list)
    failed: int = 0

    def counts(self) -> dict[str, Any]:
        """For `GET /counts`."""
        return {
            "requests": [asdict(record) for record in self.requests],
            "blocks_asked": self.cache.queries,
            "blocks_known": self.cache.hits,
            "refused": self.failed,
        }


def metrics(model: str, running: int, waiting: int, used: float, cache: PrefixCache) -> bytes:
    """For `GET /metrics`; `used`: share of the KV cache, from 0 to 1."""
    label = f'{{engine="0",model_name="{model}"}}'
    config = f'{{block_size="16",engine="0",num_gpu_blocks="{cache.size}",enable_prefix_caching="True"}}'
    lines = [
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{label} {float(running)}",
        "# TYPE vllm:num_requests_waiting gauge",
        f"vllm:num_requests_waiting{label} {float(waiting)}",
        "# TYPE vllm:kv_cache_usage_perc gauge",
        f"vllm:kv_cache_usage_perc{label} {used:.6f}",
        "# TYPE vllm:prefix_cache_queries_total counter",
        f"vllm:prefix_cache_queries_total{label} {float(cache.queries)}",
        "# TYPE vllm:prefix_cache_hits_total counter",
        f"vllm:prefix_cache_hits_total{label} {float(cache.hits)}",
        "# TYPE vllm:cache_config_info gauge",
        f"vllm:cache_config_info{config} 1.0",
        "",
    ]
    return "\n".join(lines).encode()
