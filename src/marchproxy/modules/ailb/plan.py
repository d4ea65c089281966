"""Plan: which models a route answers for, who does, what they are called there, and what that costs. Pure.

Made once for each desired state, by the process that is asked for it, the decider and the relays, from the same values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from marchproxy.model.ai import (
    ANY_MODEL,
    AiPool,
    AiRoute,
    Allowance,
    Dialect,
    Guardrail,
    Model,
    ModelTarget,
    Prefer,
    VirtualKey,
)
from marchproxy.model.model_names import ModelPatterns, fits
from marchproxy.model.module import ModuleType, PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import PathKind, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.ledger.prices import FREE, PriceList, Tariff

_MOST_NAMES = 4096
_VERSION = "/v1"
_COSTS_NOTHING = "costs nothing, and no budget counts it: `prices` has no {}, nor a pattern for all of it"


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """A pool, and what speaks for language models there."""

    pool: BackendPool
    options: AiPool
    serves: ModelPatterns = field(repr=False)

    @property
    def name(self) -> PoolName:
        """The pool's name."""
        return self.pool.name

    @property
    def dialect(self) -> Dialect:
        """What its endpoints speak."""
        return self.options.provider.dialect


@dataclass(frozen=True, slots=True)
class Target:
    """A pool that answers for a model, which is called `name` there. `is_priced`: somebody has said what it costs."""

    pool: PoolPlan
    name: str
    weight: int
    tier: int
    tariff: Tariff = FREE
    is_priced: bool = False


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A model under the one name by which permissions, limits and metrics know it. Targets of the lowest tier come first."""

    name: str
    targets: tuple[Target, ...]
    prefer: Prefer = Prefer.WEIGHT

    @property
    def pools(self) -> tuple[PoolName, ...]:
        """Who may answer."""
        return tuple([target.pool.name for target in self.targets])

    @property
    def unpriced(self) -> tuple[str, ...]:
        """What it is called by those for whom there is no price: they cost nothing, and no budget counts them."""
        return tuple(dict.fromkeys(target.name for target in self.targets if not target.is_priced))


class RoutePlan:
    """A route to language models."""

    __slots__ = ("_found", "_pools", "_prices", "options", "prefix", "route_id")

    def __init__(self, route: Route, pools: Mapping[PoolName, PoolPlan], prices: PriceList) -> None:
        self.route_id = route.route_id
        self.options = route.ai or AiRoute()
        self.prefix = _prefix(route)
        """What stands in front of `/v1` in the paths of its requests."""
        self._pools = pools
        self._prices = prices
        self._found: dict[str, ModelPlan | None] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The names that clients can be told of; which ones a pattern means is not known."""
        named = (name for model in self.options.models for name in _names(model))
        return tuple(dict.fromkeys(name for name in named if not name.endswith(ANY_MODEL)))

    def model(self, name: str) -> ModelPlan | None:
        """The model that a client means; None: there is none."""
        try:
            return self._found[name]
        except KeyError:
            found = self._find(name)
        if len(self._found) >= _MOST_NAMES:  # clients think them up
            self._found.clear()
        self._found[name] = found
        return found

    def below(self, path: str) -> str:
        """A path as the APIs have it."""
        return path.removeprefix(self.prefix)

    def _find(self, name: str) -> ModelPlan | None:
        model = next(
            (one for one in self.options.models if any(fits(each, name) for each in _names(one))), None
        )
        if model is None:
            return None
        canonical = name if model.name.endswith(ANY_MODEL) else model.name
        targets = [found for each in model.targets if (found := self._target(each, canonical))]
        return ModelPlan(canonical, tuple(sorted(targets, key=lambda one: one.tier)), model.prefer)

    def _target(self, target: ModelTarget, canonical: str) -> Target | None:
        pool = self._pools.get(target.pool)
        if pool is None:
            return None
        name = target.model or pool.options.models.get(canonical, canonical)
        if pool.options.serves and name not in pool.serves and canonical not in pool.serves:
            return None
        tariff = self._prices.tariff(name) or self._prices.tariff(canonical)
        return Target(pool, name, target.weight, target.tier, tariff or FREE, tariff is not None)


@dataclass(frozen=True, slots=True)
class AiPlan:
    """All that a decision goes by, but for keys in files."""

    routes: Mapping[RouteId, RoutePlan] = field(default_factory=dict)
    pools: Mapping[PoolName, PoolPlan] = field(default_factory=dict)
    keys: tuple[VirtualKey, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    guardrails: Mapping[str, Guardrail] = field(default_factory=dict)


def is_own(route: Route) -> bool:
    """Whether the route is an AILB's."""
    return route.ai is not None and route.module_type in {None, ModuleType.AILB}


def compile_plan(state: DesiredState) -> AiPlan:
    """The plan of a sound state."""
    own = [route for route in state.routes if is_own(route)]
    wanted = {name for route in own for name in route.pools}
    pools = {
        pool.name: PoolPlan(pool, options, ModelPatterns(options.serves))
        for pool in state.pools
        if pool.name in wanted and (options := pool.ai or AiPool())
    }
    prices = PriceList({priced.model: priced.price for priced in state.prices})
    return AiPlan(
        {route.route_id: RoutePlan(route, pools, prices) for route in own},
        pools,
        state.virtual_keys,
        tuple(one for one in state.allowances if one.enabled),
        {guardrail.name: guardrail for guardrail in state.guardrails},
    )


def unpriced(state: DesiredState, plan: AiPlan) -> Iterator[tuple[int, int, str]]:
    """The models that cost nothing, where others have prices: index of the route, index of the model in it, and what to say."""
    for number, route in enumerate(state.routes if state.prices else ()):
        known = plan.routes.get(route.route_id)
        for index, model in enumerate(known.options.models if known else ()):
            found = known.model(model.name) if known else None
            if found is not None and found.unpriced:
                names = ", ".join(f'"{name}"' for name in found.unpriced)
                yield number, index, _COSTS_NOTHING.format(names)


def _prefix(route: Route) -> str:
    """Paths of a route at `/llm` or `/llm/v1` are those of the APIs behind `/llm`; other kinds of paths are whole."""
    match = route.match.path
    if match.kind is not PathKind.PREFIX:
        return ""
    return match.value.rstrip("/").removesuffix(_VERSION)


def _names(model: Model) -> tuple[str, ...]:
    return (model.name, *model.aliases)
