"""What outlives a document."""

from dataclasses import replace

import pytest

from marchproxy.model.lasting import Lasting, lasting_listeners, lasting_routes
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, PoolName, Version
from marchproxy.model.route import BackendRef, Route, RouteId, VersionWeight
from marchproxy.model.state import DesiredState


def route(name: str, *shares: int, pools: str = "ab", timeout: float = 15.0) -> Route:
    backends = tuple(BackendRef(PoolName(pool), share) for pool, share in zip(pools, shares, strict=True))
    return Route(RouteId(name), backends=backends, timeout=timeout)


def state(*routes: Route) -> DesiredState:
    return DesiredState(routes=routes)


DOCUMENT = state(route("r", 100, 0, timeout=3.0), route("s", 100, 0))
RUNNING = state(route("r", 70, 30), route("s", 60, 40))


@pytest.mark.parametrize(
    ("targets", "restated", "shares", "kept"),
    [
        ({"r"}, (), [(70, 30), (100, 0)], {"r"}),
        ({"r", "s"}, (), [(70, 30), (60, 40)], {"r", "s"}),
        ({""}, (), [(70, 30), (60, 40)], {""}),
        ({"", "r"}, {"r"}, [(100, 0), (60, 40)], {""}),
        ({"r", "s"}, {"r"}, [(100, 0), (60, 40)], {"s"}),
        ({"r"}, None, [(100, 0), (100, 0)], set()),
        (set(), (), [(100, 0), (100, 0)], set()),
        ({"gone"}, (), [(100, 0), (100, 0)], set()),
    ],
)
def test_routes_that_were_shifted_keep_their_weights(targets, restated, shares, kept):
    found = lasting_routes(DOCUMENT, RUNNING, targets, restated)
    assert [tuple(b.weight for b in one.backends) for one in found.state.routes] == shares
    assert found.targets == kept
    assert found.state.routes[0].timeout == 3.0  # all else is the document's


def test_other_pools_are_another_split():
    document = state(route("r", 50, 50, pools="ac"))
    assert lasting_routes(document, RUNNING, {"r"}, ()) == Lasting(document)


def test_the_same_said_again_ends_nothing():
    document = state(route("r", 0, 100))
    found = lasting_routes(document, state(route("r", 0, 100)), {"r"}, {"r"})
    assert found == Lasting(document, frozenset({"r"}))
    assert found.state is document


LISTENER = Listener("web", "127.0.0.1", 80)
V1, V2 = Version("1"), Version("2")


def listening(listener: Listener, **weights: int) -> DesiredState:
    shares = tuple(VersionWeight(Version(key.removeprefix("v")), share) for key, share in weights.items())
    return DesiredState(listeners=(replace(listener, version_weights=shares),))


@pytest.mark.parametrize(
    ("document", "restated", "running", "kept"),
    [
        (listening(LISTENER), (), listening(LISTENER, v1=80, v2=20), {"web"}),
        (listening(LISTENER, v1=100), {"web"}, listening(LISTENER, v1=100), set()),
        (listening(LISTENER, v2=100), {"web"}, listening(LISTENER, v2=100), set()),
        (listening(LISTENER), None, listening(LISTENER), set()),
    ],
)
def test_listeners_that_were_shifted_keep_their_weights(document, restated, running, kept):
    found = lasting_listeners(document, listening(LISTENER, v1=80, v2=20), {"web"}, restated)
    assert (found.state, found.targets) == (running, kept)


def test_a_promotion_that_ended_where_the_document_says_it_did_is_kept():
    found = lasting_listeners(
        listening(LISTENER, v2=100), listening(LISTENER, v1=0, v2=100), {"web"}, {"web"}
    )
    assert found.targets == {"web"}


def test_another_module_is_another_matter():
    document = listening(replace(LISTENER, module_type=ModuleType.AILB))
    assert lasting_listeners(document, listening(LISTENER, v1=80, v2=20), {"web"}, ()) == Lasting(document)
