"""Revisions: the desired state as it is kept, changed and put in force everywhere or nowhere."""

from marchproxy.manager.revising.examining import Examiner
from marchproxy.manager.revising.fleet import Fleet
from marchproxy.manager.revising.outcome import (
    Applying,
    Busy,
    Conflicts,
    Current,
    Outcome,
    PartOutcome,
    PartPhase,
    PartsRefused,
    Phase,
)
from marchproxy.manager.revising.revisions import Revisions

__all__ = [
    "Applying",
    "Busy",
    "Conflicts",
    "Current",
    "Examiner",
    "Fleet",
    "Outcome",
    "PartOutcome",
    "PartPhase",
    "PartsRefused",
    "Phase",
    "Revisions",
]
