"""What Prometheus reads of the decider's counts, and how these add up over restarts."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.choice import Standing
from marchproxy.modules.ailb.exposition import render
from marchproxy.modules.ailb.load.gpus import Device, Known
from marchproxy.modules.ailb.talk import LINE, Counts
from marchproxy.modules.ailb.tally import Tallies, TallyKey
from marchproxy.modules.ailb.totals import Totals, entries

ANN = TallyKey("llm", "messages", "fast", "vllm", "ann")
BEN = TallyKey("llm", "messages", "fast", "vllm", "ben")
NOBODY = TallyKey("", "", "", "", "")


def counted():
    tallies = Tallies()
    for key in (ANN, BEN):
        tally = tallies.of(key)
        tally.endings["complete"] += 2
        tally.use(Usage(10, 5, 4), 1_500_000)
        tally.note_counted(Usage(10, 5, 4))
        tally.first_token.add(0.03)
        tally.credential["401"] += 1
    tallies.of(NOBODY).refusals["no_key"] += 3
    asked = tallies.of(TallyKey("llm", "messages", "fast", "", "ann"))
    asked.cache["hit"] += 4
    asked.findings["personal"] += 5
    return tallies


def samples(tallies, counts):
    text = render(tallies, counts, {"vllm": "openai_compatible"}).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels(**more):
    common = {
        "route": "llm", "operation": "messages", "gen_ai_operation_name": "chat", "gen_ai_request_model": "fast",
        "gen_ai_provider_name": "openai_compatible", "pool": "vllm",
    }  # fmt: skip
    return tuple(sorted((common | more).items()))


def test_all_that_is_counted_is_shown():
    found = samples(counted().kept, Counts(under_way=2, late=1))
    assert found["marchproxy_ailb_requests_total", labels(key="ann", reason="complete")] == 2
    assert found["marchproxy_ailb_credential_refused_total", labels(key="ann", status="401")] == 1
    assert found["marchproxy_ailb_denied_total", (("reason", "no_key"),)] == 3
    asked = dict(labels(key="ann"))
    del asked["pool"], asked["gen_ai_provider_name"]
    assert found["marchproxy_ailb_cache_total", tuple(sorted((asked | {"result": "hit"}).items()))] == 4
    labelled = tuple(sorted((asked | {"guardrail": "personal"}).items()))
    assert found["marchproxy_ailb_findings_total", labelled] == 5
    assert found["marchproxy_ailb_tokens_total", labels(key="ben", type="cached")] == 4
    assert found["gen_ai_client_token_usage_sum", labels(gen_ai_token_type="output")] == 10
    assert found["gen_ai_client_token_usage_bucket", labels(gen_ai_token_type="input", le="4")] == 0
    assert found["gen_ai_client_token_usage_bucket", labels(gen_ai_token_type="input", le="16")] == 2
    assert found["marchproxy_ailb_cost_total", labels(key="ann")] == 1.5
    assert found["gen_ai_server_time_to_first_token_seconds_count", labels()] == 2
    assert found["gen_ai_server_time_to_first_token_seconds_bucket", labels(le="0.04")] == 2
    assert found["gen_ai_server_time_to_first_token_seconds_bucket", labels(le="0.02")] == 0
    assert found["gen_ai_server_time_to_first_token_seconds_sum", labels()] == pytest.approx(0.06)
    assert found["marchproxy_ailb_under_way", ()] == 2
    assert found["marchproxy_ailb_late_total", ()] == 1
    assert not [name for name, _ in found if "request_duration" in name]


def test_endpoints_are_shown_as_far_as_they_are_known():
    heard = Standing("a", "10.0.0.1:80", 2, 7.0, 3.0, 0.25, True, 90, 60)
    silent = Standing("a", "10.0.0.2:80", is_sound=False)
    found = samples({}, Counts(endpoints=(heard, silent), shed={"late": 4, "crowded": 0}))
    of = {one.address: (("endpoint", one.address), ("pool", "a")) for one in (heard, silent)}
    shown = {
        "in_flight": 2, "requests": 7, "waiting": 3, "kv_usage": 0.25, "sound": 1,
        "prefix_blocks_total": 90, "prefix_cached_blocks_total": 60,
    }  # fmt: skip
    for name, value in shown.items():
        assert found[f"marchproxy_ailb_endpoint_{name}", of[heard.address]] == value
    assert found["marchproxy_ailb_endpoint_sound", of[silent.address]] == 0
    assert ("marchproxy_ailb_endpoint_kv_usage", of[silent.address]) not in found
    assert found["marchproxy_ailb_shed_total", (("reason", "late"),)] == 4


def test_counts_only_grow_over_restarts():
    totals = Totals()
    for pid in (1, 1, 2):
        totals.note(pid, entries(counted()))
    found = totals.tallies()
    assert found[ANN].endings == {"complete": 4}
    assert found[ANN].cost == 3_000_000
    assert sum(found[ANN].first_token.buckets) == 2
    assert totals.tallies()[ANN].endings == {"complete": 4}


def test_tallies_travel():
    standing = Standing("a", "10.0.0.1:80", kv_usage=0.5)
    sent = Counts(entries(counted()), under_way=1, shed={"late": 1}, endpoints=(standing,))
    assert LINE._answers.validate_json(LINE._answers.dump_json(sent)) == sent


def test_keys_and_models_beyond_a_bound_share_a_tally():
    tallies = Tallies(most=1)
    for key in (ANN, BEN):
        tallies.of(key).endings["complete"] += 1
    assert set(tallies.kept) == {ANN, TallyKey("llm", "messages", "*", "vllm", "*")}


def test_gpus_are_shown_as_far_as_they_say():
    sound = Known(Device("GPU-a", 0, temperature=61.0, memory_used=7, memory_total=8))
    lost = Known(Device("GPU-b", 1, is_lost=True))
    text = render({}, Counts(), {}, [sound, lost]).decode()
    found = {line for line in text.splitlines() if line.startswith("marchproxy_ailb_gpu_")}
    a, b = '{gpu="0",uuid="GPU-a"}', '{gpu="1",uuid="GPU-b"}'
    names = {"temperature_celsius": 61, "memory_used_bytes": 7, "memory_total_bytes": 8, "fit": 1}
    assert found == {
        *(f"marchproxy_ailb_gpu_{name}{a} {value}" for name, value in names.items()),
        f"marchproxy_ailb_gpu_fit{b} 0",
    }
