from bench.l4 import Slice, figures_of, ratios_of
from bench.support.paths import WORDS
from bench.support.wrk import Run


def a_slice(rps: float) -> Slice:
    return Slice(
        Run(int(rps), rps, 0.1, 0.2),
        cpu_us=1e6 / rps,
        all_cpu_us=30.0,
        connections=Run(100, rps / 10, 1.0, 2.0),
        cps_cpu_us=90.0,
        bulk_gbit=rps / 1000,
    )


def test_a_ratio_is_the_median_of_the_ratios_of_each_round():
    # the last round was disturbed on both sides alike; medians of each side would give 60 / 100
    rounds = {name: [a_slice(100), a_slice(50), a_slice(10)] for name in WORDS}
    rounds["kernel"] = [a_slice(80), a_slice(60), a_slice(12)]
    rounds["detect"] = [a_slice(200), a_slice(100), a_slice(20)]
    ratios = ratios_of(rounds)
    assert ratios["kernel_rps_vs_direct"] == ratios["kernel_cps_vs_nginx"] == 1.2
    assert ratios["kernel_bulk_vs_bare_envoy"] == 1.2
    assert ratios["detect_cpu_vs_haproxy"] == 0.5
    assert ratios["envoy_cpu_vs_haproxy"] == 1.0


def test_every_promised_key_is_there():
    rounds = {name: [a_slice(100)] for name in WORDS}
    promised = {
        f"{ours}_{what}_vs_{theirs}"
        for ours in ("kernel", "envoy", "detect")
        for what in ("rps", "cps", "bulk")
        for theirs in ("direct", "haproxy", "nginx", "bare_envoy")
    }
    cpu = {"envoy_cpu_vs_haproxy", "detect_cpu_vs_haproxy", "envoy_cpu_vs_bare_envoy"}
    assert set(ratios_of(rounds)) == promised | cpu
    assert {f"{name}_{what}" for name in WORDS for what in ("p50_ms", "p99_ms")} <= set(figures_of(rounds))
