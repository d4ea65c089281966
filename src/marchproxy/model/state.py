"""Desired state: the one typed document that says what the whole system should do."""

from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.model.ai import Allowance, Guardrail, PricedModel, VirtualKey
from marchproxy.model.http import Authentication
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import Route, RouteId
from marchproxy.model.scaling import ScalingConfig


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Listeners, routes, backend pools, rate limits, scaling, and what is for language models. Check it with `marchproxy.model.checks.check_state`."""

    listeners: tuple[Listener, ...] = ()
    routes: tuple[Route, ...] = ()
    pools: tuple[BackendPool, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    scaling: tuple[ScalingConfig, ...] = ()
    authentication: tuple[Authentication, ...] = ()
    virtual_keys: tuple[VirtualKey, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    prices: tuple[PricedModel, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()

    def routes_by_id(self) -> Mapping[RouteId, Route]:
        """The routes by id."""
        return {route.route_id: route for route in self.routes}

    def pools_by_name(self) -> Mapping[PoolName, BackendPool]:
        """The pools by name."""
        return {pool.name: pool for pool in self.pools}
