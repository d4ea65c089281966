"""What clients of a worker meet: who may, and for whom there is a place."""

import asyncio
from dataclasses import replace

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.rtmp import StreamLimits
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RtmpPlan, Way
from marchproxy.modules.rtmp.policy import guard
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Action, Wish
from marchproxy.modules.rtmp.tally import Tallies
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.connect import Connect
from tests.real.support.waiting import until
from tests.unit.modules.rtmp.policy.crafted import KEY, SharedTable, callback, keys
from tests.unit.modules.rtmp.policy.test_callbacks import reply, service
from tests.unit.modules.rtmp.session.crafted import connect, create, play, publish
from tests.unit.modules.rtmp.streams.crafted import plan
from tests.unit.modules.rtmp.worker.test_station import NAMES, Caller, player, publisher, workers


async def test_who_shows_a_key_may(tmp_path):
    way = keys(b"live/*:right")
    async with workers(tmp_path) as found:
        for one in found:
            one.station.apply(RtmpPlan((replace(plan(apps=("live",)), publish=(way,)),)))
        sender = await publisher(found[0].port, f"{NAMES[1]}?key=right")
        refused = await Caller.at(found[0].port)
        refused.says(connect(), create(), publish(f"{NAMES[0]}?key=wrong"))
        await refused.hears(Code.PUBLISH_DENIED)
        await refused.ended()
        assert found[0].tally.refused == {"denied": 1}
        sender.writer.close()


async def test_a_place_is_free_again_when_its_client_has_gone(tmp_path, monkeypatch):
    table = SharedTable()
    monkeypatch.setattr(guard, "LimitTable", lambda *_, **__: table)
    async with workers(tmp_path, limits=StreamLimits(streams=1, players=1), grace=0.0) as found:
        one = found[0]
        sender, receiver = await publisher(one.port, NAMES[0]), await player(one.port, NAMES[0])
        for wish, code in ((publish("other"), Code.PUBLISH_DENIED), (play("other"), Code.PLAY_FAILED)):
            refused = await Caller.at(one.port)
            refused.says(connect(), create(), wish)
            await refused.hears(code)
            await refused.ended()
        busy = await Caller.at(one.port)
        busy.says(connect(), create(), publish(NAMES[0]))  # has its stream's place, and is not served
        await busy.hears(Code.PUBLISH_BAD_NAME)
        await busy.ended()
        assert sum(one.tally.refused["limit"] for one in found) == 2
        for client in (sender, receiver):
            client.writer.close()
        await until(lambda: not any(one.station.clients() for one in found))
        sender, receiver = await publisher(one.port, "other"), await player(one.port, "other")
        for client in (sender, receiver):
            client.writer.close()
        await until(lambda: not any(one.station.clients() for one in found))


async def test_a_route_that_goes_while_it_is_decided_takes_nobody(tmp_path):
    async with workers(tmp_path) as found:
        one = found[0]
        asked, answer = asyncio.Event(), asyncio.Event()

        async def think(reader, writer):
            await reader.readuntil(b"}")
            asked.set()
            await answer.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        service = await asyncio.start_server(think, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{service.sockets[0].getsockname()[1]}/"
        way = Way(Authentication("service", AuthenticationKind.CALLBACK, url=url, timeout=20))
        one.station.apply(RtmpPlan((replace(plan(apps=("live",)), publish=(way,)),)))
        caller = await Caller.at(one.port)
        caller.says(connect(), create(), publish(NAMES[0]))
        await asked.wait()
        one.station.apply(RtmpPlan())
        answer.set()
        await caller.hears(Code.PUBLISH_BAD_NAME)
        await caller.ended()
        assert one.tally.refused == {"no_route": 1}
        service.close()


async def test_limits_that_cannot_be_kept_are_not_served_without(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(guard, "LimitTable", full)
    async with workers(tmp_path) as (one, _):
        limited = plan(apps=("live", "other"), limits=StreamLimits(streams=1))
        with pytest.raises(OSError, match="No space left"):
            one.station.apply(RtmpPlan((limited,)))
        refused = await Caller.at(one.port)
        refused.says(connect("other"), create(), publish())
        await refused.hears(Code.PUBLISH_BAD_NAME)  # the plan before has no such app
        await refused.ended()
        sender = await publisher(one.port, NAMES[0])
        sender.writer.close()


@pytest.mark.parametrize(("secure", "protocol"), [(False, "rtmp"), (True, "rtmps")])
async def test_what_a_service_is_told_of_a_client(secure, protocol):
    async with service(reply("403 No")) as (one, _), asyncio.TaskGroup() as group:
        around = Surroundings(group, VirtualClock(), Tallies(), instance="rtmp-9")
        door = guard.Guard(around, lambda _: False)
        route = replace(plan(), play=(callback(one.url, timeout=20),))
        wish = Wish(Action.PLAY, KEY, "cam1?a=b", "a=b", Connect("live"))
        arrival = Arrival(HostPort("192.0.2.1", 5), 1935, secure=secure)
        denied = await door.admit(wish, route, replace(KEY, vhost=""), arrival)
        assert denied == Denied("denied", Code.PLAY_FAILED, "service does not allow it")
        told = {"action": "play", "vhost": "live.example", "client": "192.0.2.1", "instance": "rtmp-9"}
        assert one.asked[0].items() >= {**told, "protocol": protocol, "query": "a=b"}.items()
        door.close()
