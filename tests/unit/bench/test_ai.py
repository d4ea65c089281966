"""What bench.ai reads from streams, and what its rounds come to."""

import pytest

from bench.ai.figures import figures_of, ratios_of
from bench.ai.paths import AILB, DIRECT, ENVOY, LITELLM
from bench.ai.rounds import Found, Requests
from bench.ai.streams import LOADS, Window, arrivals
from bench.support.llm_client import Answer
from bench.support.wrk import Run


def _event(stamp: float) -> bytes:
    return b'data: {"choices":[{"delta":{"content":" %.6f"}}]}\n\n' % stamp


def test_tokens_are_timed_by_the_read_that_completes_them() -> None:
    answer = Answer(timed=True)
    first, second, third, last = map(_event, (10.0, 10.1, 10.2, 10.3))
    assert answer.reads is not None
    answer.reads += [(10.001, first), (10.15, second + third[:40]), (10.204, third[40:]), (11.0, last)]
    window = Window()
    assert arrivals(answer, 10.01, 10.9, window) == 2
    assert window.token_ms == pytest.approx([50, 4])
    assert window.gap_ms == pytest.approx([149, 54])


def _window(milliseconds: float, cpu_us: float) -> Window:
    return Window([milliseconds] * 4, [milliseconds] * 4, [milliseconds] * 4, cpu_us)


def test_rounds_are_compared_in_pairs() -> None:
    found = Found()
    speeds = {DIRECT: (4000, 4000), ENVOY: (2000, 1000), AILB: (1000, 600), LITELLM: (50, 20)}
    for name, rates in speeds.items():
        found.requests[name].extend(
            Requests(Run(requests=10, per_second=rate, p50_ms=1, p99_ms=2), cpu_us=1e6 / rate)
            for rate in rates
        )
        for label in LOADS:
            found.windows[name, label].extend([_window(1e4 / rates[0], 1e4 / rates[0])] * 2)
    ratios, figures = ratios_of(found), figures_of(found, {AILB: 200.0, LITELLM: 400.0})
    assert ratios["rps_vs_litellm"] == pytest.approx(25)
    assert ratios["rps_vs_envoy"] == pytest.approx(0.55)
    assert ratios["cpu_per_chunk_vs_envoy"] == pytest.approx(2)
    assert figures["added_p99_ms_64"] == pytest.approx(7.5)
    assert figures["ttft_added_p99_ms_64"] == pytest.approx(7.5)
    assert figures["rss_mb"] == 200
