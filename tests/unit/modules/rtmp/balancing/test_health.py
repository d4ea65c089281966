"""What checks and connections show of an origin."""

import pytest

from marchproxy.model.pool import HealthCheck, OutlierDetection
from marchproxy.modules.rtmp.balancing.health import Health, answered, failed, missed, served

CHECK = HealthCheck(unhealthy_threshold=2, healthy_threshold=2)
OUTLIERS = OutlierDetection(consecutive_errors=2, ejection_time=30)


@pytest.mark.parametrize(
    ("steps", "faults"),
    [
        ("m m", ["", "gone"]),
        ("m a m", ["", "", ""]),
        ("m m a a", ["", "gone", "gone", ""]),
        ("m m a m a a", ["", "gone", "gone", "gone", "gone", ""]),
        ("f a", ["lost", ""]),
        ("f s", ["lost", ""]),
        ("f f s", ["lost", "lost", ""]),
    ],
)
def test_checks_and_connections(steps, faults):
    health, found = Health(), []
    for step in steps.split():
        match step:
            case "a":
                health = answered(health, 0.01, CHECK, 0.0)
            case "m":
                health = missed(health, "gone", CHECK)
            case "f":
                health = failed(health, "lost", None, 0.0)
            case "s":
                health = served(health)
        found.append(health.fault)
    assert found == faults


def test_who_fails_again_and_again_is_left_out_longer():
    health = Health()
    for _ in range(2):
        health = failed(health, "lost", OUTLIERS, 0.0)
    assert health.until == 30
    assert answered(health, 0.01, CHECK, 29.0).fault == "lost"
    assert failed(health, "lost", OUTLIERS, 29.0).until == 30
    health = answered(health, 0.01, CHECK, 30.0)
    assert health.fault == ""
    for _ in range(2):
        health = failed(health, "lost", OUTLIERS, 40.0)
    assert health.until == 100
    assert served(health) == Health(answered=health.answered, latency=0.01)


def test_latency_is_that_of_the_last_answer():
    health = answered(Health(), 0.02, CHECK, 0.0)
    assert health.latency == 0.02
    assert missed(health, "gone", CHECK).latency is None
