"""Checks: is a desired state sound? Every fault is reported with its path in the document."""

from marchproxy.model.checks.authentication import check_authentication
from marchproxy.model.checks.limits import check_limit, check_limits
from marchproxy.model.checks.listeners import check_listeners, check_version_weights
from marchproxy.model.checks.pools import check_pools
from marchproxy.model.checks.routes import check_routes
from marchproxy.model.checks.sharing import check_sharing
from marchproxy.model.checks.state import check_change, check_scaling, check_state
from marchproxy.model.rules import check_address

__all__ = [
    "check_address",
    "check_authentication",
    "check_change",
    "check_limit",
    "check_limits",
    "check_listeners",
    "check_pools",
    "check_routes",
    "check_scaling",
    "check_sharing",
    "check_state",
    "check_version_weights",
]
