from dataclasses import replace

import pytest

from marchproxy.model.checks import check_scaling, check_state
from marchproxy.model.module import ModuleType
from marchproxy.model.scaling import ScalingConfig, ScalingLimits
from marchproxy.model.state import DesiredState

SOUND = ScalingConfig(ModuleType.ALB, ScalingLimits(1, 4), connections=10)


def test_sound_scaling_has_no_faults():
    other = ScalingConfig(
        ModuleType.DBLB, memory_percent=80, memory_limit_mb=512, up_threshold=80, down_threshold=30
    )
    assert check_state(DesiredState(scaling=(SOUND, other))) == ()


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"limits": ScalingLimits(0, 4)}, "min_instances", "0 is less than 1"),
        ({"limits": ScalingLimits(3, 2)}, "max_instances", "2 is less than min_instances, 3"),
        ({"limits": ScalingLimits(1, 1001)}, "max_instances", "more than 1000"),
        ({"module_type": ModuleType.NLB}, "module", "do not register"),
        ({"cpu_percent": -1}, "target_cpu_percent", "-1 is not between 0"),
        ({"latency_ms": float("nan")}, "target_latency_ms", "nan is not between 0"),
        ({"latency_ms": float("inf")}, "target_latency_ms", "inf is not between 0"),
        ({"connections": 2**31}, "target_connections", "is not between 0"),
        ({"cooldown": -1.0}, "cooldown", "-1.0 is not between 0"),
        ({"max_error_percent": 101}, "max_error_percent", "101 is more than 100"),
        ({"memory_percent": 50}, "target_memory_percent", "memory_limit_mb, which is not set"),
        (
            {"down_threshold": 110},
            "scale_down_threshold",
            "110% is not below the threshold for scaling up, 110%",
        ),
        ({"up_threshold": 80}, "scale_down_threshold", "90% is not below the threshold for scaling up, 80%"),
    ],
)
def test_faults(change, path, words):
    (problem,) = check_scaling([replace(SOUND, **change)])
    assert problem.path == f"scaling[0].{path}"
    assert words in problem.message


def test_a_type_is_scaled_once():
    (problem,) = check_scaling([SOUND, replace(SOUND, connections=1)])
    assert problem.path == "scaling[1].module"
