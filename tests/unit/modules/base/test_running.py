"""How what runs came to be is remembered."""

from datetime import UTC, datetime

from marchproxy.model.judging import RolloutLimits
from marchproxy.model.module import Version
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.rollout import Rollout
from marchproxy.modules.base.running import Running
from tests.unit.modules.doubles import STATE

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RAMP = Ramp(Rollout(Version("v2"), 10, "shop"), RolloutLimits(), NOW)


def test_a_change_by_rpc_keeps_the_document_it_started_from() -> None:
    running = Running(STATE, "abc").with_ramp(RAMP).changed(STATE, NOW)
    assert (running.checksum, running.modified, running.updated_at) == ("abc", True, NOW)
    assert running.ramps == {"shop": RAMP}


def test_a_new_document_ends_what_rpcs_did() -> None:
    running = (
        Running(STATE, "abc", modified=True).with_ramp(RAMP).with_shift("shop", Shift(Version("v1"), NOW))
    )
    assert running.loaded(STATE, "def", NOW) == Running(STATE, "def", updated_at=NOW)


def test_one_ramp_per_target() -> None:
    later = Ramp(Rollout(Version("v3"), 20, "shop"), RolloutLimits(), NOW)
    other = Ramp(Rollout(Version("v3"), 20, ""), RolloutLimits(), NOW)
    running = Running().with_ramp(RAMP).with_ramp(later).with_ramp(other)
    assert running.ramps == {"shop": later, "": other}
    assert running.without_ramp("shop").without_ramp("unknown").ramps == {"": other}
