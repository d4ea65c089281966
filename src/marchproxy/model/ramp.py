"""Ramps and shifts: what is remembered of the traffic that moves between versions, so that it goes on after a restart."""

from dataclasses import dataclass
from datetime import datetime

from marchproxy.model.judging import RolloutLimits
from marchproxy.model.module import Version
from marchproxy.model.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Shift:
    """A traffic shift between versions: what served everything before it, and since when it goes on."""

    baseline: Version
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Ramp:
    """A gradual promotion: the rollout as it stands since `updated_at`, and the limits it keeps to."""

    rollout: Rollout
    limits: RolloutLimits
    updated_at: datetime
