"""Members: who is the primary, who may be read, and who is left out, as the servers answer one after the other."""

from dataclasses import replace

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import OutlierDetection
from marchproxy.modules.dblb.postgres.routing.members import Member, Members, Rules
from marchproxy.modules.dblb.postgres.routing.sight import Sight

A, B, C = (HostPort("10.0.0.1", port) for port in (1, 2, 3))
RULES = Rules(failures=2, max_lag=10.0, oldest=5.0)


def primary(position: int = 100, timeline: int = 1, *, asked: float = 0.0, system: str = "s") -> Sight:
    return Sight(asked, 0.001, standby=False, position=position, timeline=timeline, system=system)


def standby(position: int = 100, timeline: int = 1, *, asked: float = 0.0, behind: float = 0.0) -> Sight:
    sight = Sight(asked, 0.001, standby=True, position=position, timeline=timeline, system="s")
    return replace(sight, behind=behind, writable=False)


def members(rules: Rules = RULES, **seen: Sight) -> Members:
    found = Members(rules, {address: Member(address) for address in (A, B, C)})
    for name, sight in seen.items():
        found = found.saw({"a": A, "b": B, "c": C}[name], sight)
    return found


def fit(found: Members, now: float = 0.0, position: int = 0) -> set[HostPort]:
    return {member.address for member in found.replicas(now, position=position)}


USUAL = members(a=primary(), b=standby(), c=standby())


def test_the_usual_cluster():
    assert USUAL.primary == A
    assert fit(USUAL) == {B, C}
    assert [USUAL.role(member) for member in USUAL.each.values()] == ["primary", "replica", "replica"]


@pytest.mark.parametrize(("misses", "answered", "still"), [(1, False, A), (2, False, None), (9, True, A)])
def test_a_primary_that_is_not_seen(misses, answered, still):
    found = USUAL
    for _ in range(misses):
        found = found.missed(A, "no answer", answered=answered)
    assert found.primary == still
    assert fit(found) == {B, C}  # reads go on


def test_a_primary_that_recovers_is_none_at_once():
    assert USUAL.saw(A, standby()).primary is None


def test_a_primary_that_takes_no_writes_is_none():
    assert USUAL.saw(A, replace(primary(), writable=False)).primary is None


def test_who_is_promoted_takes_over_and_the_former_primary_never_comes_back():
    found = USUAL.saw(B, primary(110, 2))
    assert found.primary == B
    assert found.rivals() == [A]
    # the new one is not seen for a while: the old one is still not the primary
    assert found.missed(B, "").missed(B, "").primary is None
    # and a replica of the new one tells as much
    assert USUAL.saw(C, standby(110, 2)).primary is None


def test_two_of_the_same_timeline_the_one_that_is_stays():
    assert USUAL.saw(B, primary()).primary == A
    assert members(b=primary()).saw(A, primary()).primary == B


def test_a_replica_of_another_timeline_is_not_read():
    found = USUAL.saw(B, primary(110, 2))
    assert fit(found) == set()
    assert fit(found.saw(C, standby(110, 2))) == {C}


def test_the_timeline_of_a_replica_does_not_go_back():
    found = USUAL.saw(B, primary(110, 2)).saw(C, standby(110, 2))
    assert fit(found.saw(C, standby(110, 1))) == {C}  # it streams nothing, and knows its last restart point


@pytest.mark.parametrize(
    ("sight", "now", "position", "read"),
    [
        (standby(100), 0.0, 100, True),
        (standby(99), 0.0, 100, False),  # it lacks what the client has written
        (standby(100), 5.1, 0, False),  # nobody has looked for too long
        (standby(50, behind=11.0, asked=11.0), 11.0, 0, False),
        (standby(50, behind=9.0, asked=9.0), 9.0, 0, True),
        (standby(50, asked=11.0), 11.0, 0, False),  # believes to be in time
        (replace(standby(), serializable=True), 0.0, 0, False),
    ],
)
def test_which_replica_may_be_read(sight, now, position, read):
    found = members(a=primary()).saw(B, sight)
    assert (B in fit(found, now, position)) is read


@pytest.mark.parametrize("address", [B, C])
def test_where_no_session_can_be_opened_is_left_out_for_a_while(address):
    rules = replace(RULES, oldest=1000.0, outliers=OutlierDetection(consecutive_errors=2, ejection_time=30.0))
    found = members(rules, a=primary(), b=standby(), c=standby())
    once = found.dialled(address, 0.0, well=False)
    assert fit(once) == {B, C}
    assert once.dialled(address, 0.0, well=True) == found
    out = once.dialled(address, 0.0, well=False)
    assert fit(out, 29.0) == {B, C} - {address}
    assert fit(out, 31.0) == {B, C}


def test_neither_the_primary_nor_the_last_replica_is_left_out():
    rules = replace(RULES, outliers=OutlierDetection(consecutive_errors=1, max_ejected_percent=100))
    found = members(rules, a=primary(), b=standby(), c=standby())
    for address in (A, B, C):
        found = found.dialled(address, 0.0, well=False)
    assert found.primary == A
    assert fit(found) == {C}


def test_a_cluster_that_was_made_anew_is_another_system():
    found = USUAL.saw(B, primary(110, 2)).missed(B, "").missed(B, "")
    assert found.saw(A, primary(5, 1, system="t")).primary == A
