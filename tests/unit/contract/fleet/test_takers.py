"""Everywhere or nowhere: against a client that plays the NLB and two modules."""

import pytest

from marchproxy.contract.fleet.client import CallFailed
from marchproxy.contract.fleet.takers import Offer, Refusal, Reload, Taker, waves
from marchproxy.contract.pb import module_pb2, nlb_pb2
from marchproxy.model.listener import Listener
from marchproxy.model.state import DesiredState

OLD = Offer.of(DesiredState())
NEW = Offer.of(DesiredState(listeners=(Listener("web", "127.0.0.1", 8000),)))
TAKERS = [
    Taker("alb-1", "a:1", is_nlb=False),
    Taker("alb-2", "a:2", is_nlb=False),
    Taker("nlb-1", "n:1", is_nlb=True),
]


class System:
    """Notes who was offered what; `against` refuses the new document, when it is checked or only when applied."""

    def __init__(
        self,
        against: str = "",
        *,
        silent: bool = False,
        only_when_applied: bool = False,
        in_part: bool = False,
    ) -> None:
        self.against, self.silent, self.only_when_applied = against, silent, only_when_applied
        self.in_part = in_part  # it runs, without the part that is told
        self.running: dict[str, str] = {}
        self.order: list[str] = []

    async def nlb(self, invoke, *, timeout, address):
        return self._answer("n:1", await invoke(_Stub(), timeout), nlb_pb2.UpdateNLBConfigResponse)

    async def module(self, address, invoke, *, timeout):
        return self._answer(address, await invoke(_Stub(), timeout), module_pb2.UpdateConfigResponse)

    def _answer(self, address, request, response):
        is_new = request.config.checksum == NEW.checksum
        refuses = (
            address == self.against and is_new and not (self.only_when_applied and request.validate_only)
        )
        if refuses and self.silent:
            raise CallFailed(f"nobody answers at {address}")
        if refuses and self.in_part:
            self.running[address] = request.config.checksum
            self.order.append(address)
            return response(success=True, validation_errors=["routes[0].path: quarantined"])
        if refuses:
            return response(validation_errors=["routes[0].path: no"])
        if not request.validate_only:
            self.running[address] = request.config.checksum
            self.order.append(address)
        return response(success=True)


class _Stub:
    async def UpdateNLBConfig(self, request, *, timeout):  # noqa: N802 - gRPC names it
        return request

    UpdateConfig = UpdateNLBConfig


async def test_a_document_that_everybody_takes_is_applied_modules_first():
    system = System()
    reload = Reload(system, TAKERS)
    assert await reload.check(NEW) == []
    assert system.running == {}  # checking changes nothing
    assert await reload.apply(NEW, OLD) == []
    assert system.order == ["a:1", "a:2", "n:1"]


@pytest.mark.parametrize(("address", "name"), [("a:2", "alb-2"), ("n:1", "nlb-1")])
async def test_a_refusal_names_who_and_why(address, name):
    assert await Reload(System(address), TAKERS).check(NEW) == [Refusal(name, ("routes[0].path: no",))]


async def test_silence_is_a_refusal():
    (refusal,) = await Reload(System("a:1", silent=True), TAKERS).check(NEW)
    assert refusal == Refusal("alb-1", ("nobody answers at a:1",), silent=True)


async def test_a_failure_on_the_way_puts_the_old_document_back():
    system = System("n:1", only_when_applied=True)
    reload = Reload(system, TAKERS)
    assert await reload.check(NEW) == []
    assert [refusal.who for refusal in await reload.apply(NEW, OLD)] == ["nlb-1"]
    assert set(system.running.values()) == {OLD.checksum}
    assert set(system.running) == {"a:1", "a:2", "n:1"}


async def test_one_that_serves_it_in_part_keeps_it_from_the_others():
    system = System("a:1", only_when_applied=True, in_part=True)
    reload = Reload(system, TAKERS)
    assert await reload.apply(NEW, OLD) == [Refusal("alb-1", ("routes[0].path: quarantined",))]
    assert system.order == ["a:1", "a:1"]  # the new one and the old one; nobody else was asked
    assert system.running == {"a:1": OLD.checksum}


def test_one_of_each_kind_goes_first_and_nlbs_last():
    takers = [
        Taker("nlb-1", "", is_nlb=True, kind="nlb"),
        *(Taker(f"alb-{number}", "", is_nlb=False, kind="alb") for number in (1, 2, 3)),
        Taker("dblb-1", "", is_nlb=False, kind="dblb"),
        Taker("nlb-2", "", is_nlb=True, kind="nlb"),
    ]
    found = [[taker.name for taker in wave] for wave in waves(takers)]
    assert found == [["alb-1"], ["dblb-1"], ["alb-2", "alb-3"], ["nlb-1"], ["nlb-2"]]
    assert waves([]) == []


async def test_one_of_many_that_fails_takes_all_back():
    takers = [
        *(Taker(f"alb-{number}", f"a:{number}", is_nlb=False) for number in range(6)),
        Taker("nlb-1", "n:1", is_nlb=True),
    ]
    system = System("a:3", only_when_applied=True)
    refusals = await Reload(system, takers).apply(NEW, OLD)
    assert [refusal.who for refusal in refusals] == ["alb-3"]
    assert system.running == {f"a:{number}": OLD.checksum for number in range(6)}


@pytest.mark.parametrize(
    ("reason", "path", "message"),
    [
        ("routes[2].backends[0].pool: no pool", "routes[2].backends[0].pool", "no pool"),
        ("routes: more than 9", "routes", "more than 9"),
        ("no path at all", "", "no path at all"),
        ("127.0.0.1:80: nobody answers", "", "127.0.0.1:80: nobody answers"),
    ],
)
def test_paths_are_told_apart(reason, path, message):
    (problem,) = Refusal("x", (reason,)).problems
    assert (problem.path, problem.message) == (path, message)
