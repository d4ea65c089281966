"""The few figures that count, found in what engines say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.ai import Provider
from marchproxy.modules.ailb.load import EngineLoad
from marchproxy.modules.ailb.load.exposition import FAMILIES, BadMetrics, read_load

VLLM = FAMILIES[Provider.VLLM]
SGLANG = FAMILIES[Provider.SGLANG]

# as vLLM 0.11 writes it
PAGE = b"""# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 10321.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-8B"} 12.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 3.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-8B"} 0.25
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",engine="0",gpu_memory_utilization="0.9",num_gpu_blocks="27000",swap_space="4"} 1.0
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="Qwen/Qwen3-8B"} 991.0
"""
LEAST = b"vllm:num_requests_running 1\nvllm:num_requests_waiting 2\n"


def test_vllm():
    assert read_load(PAGE, VLLM) == EngineLoad(3, 12, 0.25, 27_000 * 16)


def test_sglang():
    page = b"""# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="m",tp_rank="0"} 7.0
sglang:num_queue_reqs{model_name="m",tp_rank="0"} 2.0
sglang:token_usage{model_name="m",tp_rank="0"} 0.5
"""
    assert read_load(page, SGLANG) == EngineLoad(2, 7, 0.5, 0)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (b"", EngineLoad(2, 1)),
        (b"vllm:kv_cache_usage_perc 1", EngineLoad(2, 1, 1.0)),  # no end of the line
        (b"vllm:gpu_cache_usage_perc 0.5\n", EngineLoad(2, 1, 0.5)),  # its older name
        (b"vllm:kv_cache_usage_perc 0.1\nvllm:gpu_cache_usage_perc 0.5\n", EngineLoad(2, 1, 0.1)),
        (b"vllm:kv_cache_usage_perc 7\n", EngineLoad(2, 1, 1.0)),
        (b"vllm:kv_cache_usage_perc NaN\n", EngineLoad(2, 1)),
        (b"vllm:kv_cache_usage_perc +Inf\n", EngineLoad(2, 1)),
        (b"vllm:kv_cache_usage_perc -1\n", EngineLoad(2, 1)),
        (b"vllm:kv_cache_usage_perc\n", EngineLoad(2, 1)),
        (b"vllm:kv_cache_usage_perc{\n", EngineLoad(2, 1)),
        (b"vllm:kv_cache_usage_perc 0.5 1730000000000\r\n", EngineLoad(2, 1, 0.5)),  # with its time
        (b'vllm:kv_cache_usage_perc{model_name="} 9 {"} 0.5\n', EngineLoad(2, 1, 0.5)),
        (b"vllm:num_requests_waiting_by_reason 5\n", EngineLoad(2, 1)),  # begins alike
        (b"# vllm:num_requests_waiting 9\n", EngineLoad(2, 1)),
        (b"\nvllm:num_requests_waiting 9\n", EngineLoad(2, 1)),  # not with the others
        (b"xvllm:num_requests_waiting 9\n", EngineLoad(2, 1)),
        (b"vllm:num_requests_waiting 3\n", EngineLoad(5, 1)),  # data parallel: all of them
        (b'vllm:kv_cache_usage_perc{e="0"} 0.2\nvllm:kv_cache_usage_perc{e="1"} 0.4\n', EngineLoad(2, 1, 0.3)),
        (b'vllm:cache_config_info{num_gpu_blocks="None",block_size="16"} 1\n', EngineLoad(2, 1)),
        (b'vllm:cache_config_info{num_gpu_blocks="9",block_size="16"} 1\n' * 2, EngineLoad(2, 1, 0.0, 288)),
        (b'vllm:cache_config_info{num_gpu_blocks="999999999999",block_size="99"} 1', EngineLoad(2, 1, 0.0, 10**12)),
    ],
)  # fmt: skip
def test_what_pages_may_have(more, expected):
    load = read_load(LEAST + more, VLLM)
    assert (load.waiting, load.running, load.kv_tokens) == (
        expected.waiting,
        expected.running,
        expected.kv_tokens,
    )
    assert load.kv_usage == pytest.approx(expected.kv_usage)


def test_a_longer_name_may_come_first():
    page = b'vllm:num_requests_waiting_x 5\nvllm:num_requests_waiting{a="b"} 3\nvllm:num_requests_running 1'
    assert read_load(page, VLLM) == EngineLoad(3, 1)


@pytest.mark.parametrize(
    ("page", "missing"),
    [
        (b"", "num_requests_waiting"),
        (b"<html>not here</html>", "num_requests_waiting"),
        (b"vllm:num_requests_waiting 1\n", "num_requests_running"),
        (b"vllm:num_requests_waiting x\nvllm:num_requests_running 1\n", "num_requests_waiting"),
    ],
)
def test_a_page_that_does_not_say_enough_is_refused_by_name(page, missing):
    with pytest.raises(BadMetrics, match=missing):
        read_load(page, VLLM)


@given(st.lists(st.sampled_from(PAGE.splitlines(keepends=True)) | st.binary(max_size=80), max_size=60))
def test_any_page_is_a_load_or_refused(parts):
    try:
        load = read_load(b"".join(parts), VLLM)
    except BadMetrics:
        return
    assert load.waiting >= 0
    assert load.running >= 0
    assert 0 <= load.kv_usage <= 1
    assert load.kv_tokens >= 0


def test_a_page_of_nothing_but_one_family_ends():
    page = LEAST + b"vllm:num_requests_waiting 1\n" * 30_000
    assert read_load(page, VLLM).waiting == 1025
