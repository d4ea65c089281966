"""What is going on: the running system looked at on a beat, as one immutable view, with its recent past and what happened."""

from marchproxy.manager.watching.health import Health
from marchproxy.manager.watching.observer import Observer
from marchproxy.manager.watching.series import Sample, Slice
from marchproxy.manager.watching.subscription import Subscription
from marchproxy.manager.watching.view import (
    DecisionView,
    EndpointView,
    LimitView,
    ListenerView,
    LiveView,
    NlbView,
    PartView,
    PoolView,
    Rates,
    RolloutView,
    ScalingView,
    Standing,
)

__all__ = [
    "DecisionView",
    "EndpointView",
    "Health",
    "LimitView",
    "ListenerView",
    "LiveView",
    "NlbView",
    "Observer",
    "PartView",
    "PoolView",
    "Rates",
    "RolloutView",
    "Sample",
    "ScalingView",
    "Slice",
    "Standing",
    "Subscription",
]
