"""Who may watch by HLS and DASH."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan, Way
from marchproxy.modules.rtmp.policy.signing import sign
from marchproxy.modules.rtmp.policy.viewing import Viewing
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.tally import Tallies
from tests.ports import free_port
from tests.unit.modules.rtmp.policy.crafted import KEY, SECRET, callback, keys, signed

NOW = int(VirtualClock().now().timestamp())
ROUTE = RoutePlan(Route(RouteId("r")), RtmpRoute(play=("some",)))
WAYS = (keys(), signed())


def token(action: str, stream: str, expires: int = NOW + 60) -> str:
    return f"expires={expires}&signature={sign(SECRET, action, stream, expires)}"


@pytest.mark.parametrize(
    ("ways", "query", "words"),
    [
        (WAYS, "key=s3cret", ""),
        (WAYS, token("play", KEY.text), ""),
        (WAYS, token("play", "live.example/live/*"), ""),
        (WAYS, token("publish", KEY.text), "the signature is not right for this action, stream and time"),
        (WAYS, token("play", KEY.text, NOW - 1), "the token ended at 2029-12-31 23:59:59 UTC"),
        (WAYS, "", "no key was shown"),
        ((), "key=s3cret", "nobody here can check who may"),
        ((callback(f"http://127.0.0.1:{free_port()}/"),), "", "it cannot be checked now who may; try again"),
    ],
)
async def test_viewers_are_players(ways: Sequence[Way], query: str, words: str) -> None:
    async with asyncio.TaskGroup() as group:
        tallies = Tallies()
        viewing = Viewing(Surroundings(group, VirtualClock(), tallies))
        arrival = Arrival(HostPort("192.0.2.1", 5), 8088)
        route = replace(ROUTE, play=tuple(ways))
        assert await viewing.admit(route, KEY, query, arrival) == words
        assert tallies.of("r").forbidden == (1 if words and ways else 0)
        assert await viewing.admit(replace(ROUTE, options=RtmpRoute(), play=()), KEY, "", arrival) == ""
