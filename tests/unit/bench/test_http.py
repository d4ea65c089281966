import pytest

from bench.http import changes, fleet
from bench.http.__main__ import figures_of_changes, figures_of_fleet
from bench.http.paths import ALB, ENVOY, HAPROXY, NGINX, OURS, SIZES, Key
from bench.http.rounds import Measured, figures_of, ratios_of
from bench.support.wrk import Run

KEYS = [Key(OURS, 1), *(Key(proxy, size) for size in SIZES for proxy in (ALB, ENVOY, HAPROXY, NGINX))]


def measured(rps: float) -> Measured:
    return Measured(Run(int(rps), rps, 0.1, 0.2), cpu_us=1e6 / rps)


def test_a_ratio_is_the_median_of_the_ratios_of_each_round():
    # the last round was disturbed on both sides alike; medians of each side would give 60 / 100
    rounds = {key: [measured(100), measured(50), measured(10)] for key in KEYS}
    rounds[Key(ALB, 5000)] = [measured(80), measured(60), measured(12)]
    ratios = ratios_of(rounds)
    assert ratios["rps_vs_hand_envoy_5000"] == ratios["rps_vs_nginx_5000"] == 1.2
    assert ratios["cpu_vs_haproxy_5000"] == pytest.approx(1 / 1.2)
    assert ratios["rps_vs_hand_envoy_1"] == ratios["alb_rps_vs_envoy_http"] == 1.0


def test_every_promised_key_is_there():
    rounds = {key: [measured(100)] for key in KEYS}
    assert {f"rps_vs_hand_envoy_{size}" for size in (1, 100, 5000)} <= ratios_of(rounds).keys()
    assert {"rps_vs_envoy_http", "rps_vs_haproxy_http", "cpu_vs_envoy_http"} <= ratios_of(rounds).keys()
    assert {"nlb_alb_rps", "alb_cpu_us", "envoy_http_p99_ms", "nginx_cpu_us_5000"} <= figures_of(
        rounds
    ).keys()
    control = {
        **figures_of_changes(changes.Changes([1.0], [2.0], [3.0])),
        **figures_of_fleet(fleet.Fleet(1, 2, 3, 4, 5, 6, 7)),
    }
    assert {"change_to_effect_p99_ms", "nack_to_error_ms", "control_rss_mb", "full_sync_s"} <= control.keys()


def test_of_refusals_the_worst_counts_and_of_few_changes_p99_is_the_worst():
    figures = figures_of_changes(changes.Changes([1, 2, 9], [2, 3, 10], [5, 7, 6]))
    assert figures["nack_to_error_ms"] == 7
    assert (figures["change_to_effect_p99_ms"], figures["change_to_effect_p50_ms"]) == (10, 3)
