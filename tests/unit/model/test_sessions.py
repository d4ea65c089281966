"""Which routes of databases one session could be either's; see also the checks' tests."""

import random

from marchproxy.model.database import DatabaseRoute
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route
from marchproxy.model.sessions import precision, session_ties, sessions_meet

NAMES = ["a", "ab", "abc", "b", "a*", "ab*", "*c", "?", "a?", "[ab]", "*", "b[", ""]


def routes_of(chance: random.Random, number: int) -> list[Route]:
    def names() -> tuple[str, ...]:
        return tuple(dict.fromkeys(chance.choices(NAMES, k=chance.randrange(3))))

    return [
        Route(
            f"r{index}",
            protocol=Protocol.REDIS,
            destination_port=chance.choice([0, 0, 1, 12]),
            database=chance.choice(
                [
                    None,
                    DatabaseRoute(names(), names(), (), chance.choice([(), (), ("a",), ("b", "ab")])),
                    DatabaseRoute(names()),
                ]
            ),
        )
        for index in range(number)
    ]


def test_the_quick_way_finds_what_comparing_all_finds():
    chance = random.Random(3)
    for _ in range(300):
        routes = routes_of(chance, 8)
        compared = [
            (next(first for first in routes[:index] if sessions_meet(first, route)), route)
            for index, route in enumerate(routes)
            if any(sessions_meet(first, route) for first in routes[:index])
        ]
        assert list(session_ties(routes)) == compared


def test_what_goes_first():
    plain = Route("r", protocol=Protocol.POSTGRES)
    assert precision(plain) == (0, 0)
    assert precision(Route("r", priority=-1, sources=("::/0",), destination_port=1)) == (-1, 2)
    assert precision(Route("r", database=DatabaseRoute(("a", "b"), ("*",), ("c",), ("k",)))) == (0, 3)
