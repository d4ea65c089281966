"""Who is read from while clients have sent more than may be held."""

from marchproxy.modules.dblb.mongodb.allowance import Allowance


class Reader:
    def __init__(self) -> None:
        self.turns = 0

    def may_read(self) -> None:
        self.turns += 1


def test_beyond_the_bound_the_first_is_read_from_and_the_others_wait():
    one, two, three = Reader(), Reader(), Reader()
    allowance = Allowance(100)
    assert allowance.note(one, 80)
    assert allowance.note(two, 50)  # beyond it; somebody must be able to finish
    assert not allowance.note(three, 10)
    assert not allowance.note(one, 90)
    assert allowance.held == 150
    assert allowance.note(two, 60)
    allowance.note(two, 0)  # a server has it
    assert allowance.held == 100
    assert (one.turns, three.turns) == (1, 1)


def test_who_leaves_makes_room_and_gives_its_turn_away():
    one, two, three = Reader(), Reader(), Reader()
    allowance = Allowance(10)
    for reader in (one, two, three):
        allowance.note(reader, 20)
    allowance.leave(one)
    assert two.turns == 1
    assert three.turns == 0
    allowance.leave(two)
    allowance.leave(three)
    assert allowance.held == 0
