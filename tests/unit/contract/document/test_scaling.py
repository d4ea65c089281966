"""The section `scaling`, and the message that carries one of it."""

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.contract.convert import scaling_from_pb, scaling_to_pb
from marchproxy.contract.document import decode, encode
from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import ModuleType
from marchproxy.model.scaling import ScalingConfig, ScalingLimits
from marchproxy.model.state import DesiredState

NUMBERS = st.integers(0, 2**31 - 1)
CONFIGS = st.builds(
    lambda low, more, numbers, latency, cooldown, enabled: ScalingConfig(
        ModuleType.RTMP,
        ScalingLimits(low, low + more),
        numbers[0],
        numbers[1],
        numbers[2] + 1,
        numbers[3],
        latency,
        enabled=enabled,
        cooldown=float(cooldown),
        max_error_percent=7,
        up_threshold=150,
        down_threshold=30,
    ),
    st.integers(1, 500),
    st.integers(0, 500),
    st.tuples(NUMBERS, NUMBERS, st.integers(0, 10**6), NUMBERS),
    st.floats(0, 1e6),
    st.integers(0, 86400),
    st.booleans(),
)


@given(CONFIGS)
def test_a_config_comes_back_from_document_and_message(config):
    state = DesiredState(scaling=(config,))
    assert decode(encode(state)) == state
    assert scaling_from_pb(scaling_to_pb(config), ModuleType.RTMP) == config


def test_as_people_write_it():
    written = (
        b"scaling: [{module: alb, max_instances: 5, target_cpu_percent: 70, cooldown: 2m, enabled: false}]"
    )
    expected = ScalingConfig(
        ModuleType.ALB, ScalingLimits(1, 5), cpu_percent=70, cooldown=120.0, enabled=False
    )
    assert decode(written).scaling == (expected,)


def test_a_message_without_a_maximum_keeps_to_its_minimum():
    pb = types_pb2.ScalingConfig(min_instances=3)
    assert scaling_from_pb(pb, ModuleType.ALB).limits == ScalingLimits(3, 3)
