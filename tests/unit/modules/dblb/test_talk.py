"""What goes between a DBLB and its workers arrives as it was said."""

import asyncio

import pytest

from marchproxy.engines.workers.contents import Contents, contents_of
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb import talk
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import PoolGauge, Tallies, TallyKey
from marchproxy.modules.dblb.totals import entries
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving, TlsMaterial

PORT = Port("postgres", Protocol.POSTGRES, HostPort("::1", 5432), proxied=True)
SERVING = Serving((PORT,), ("10.0.0.0/8",), TlsMaterial("c", "k", "a", required=True), 2.5)


class Wire:
    def __init__(self):
        self.reader = asyncio.StreamReader()

    def write(self, data):
        self.reader.feed_data(data)


def entry():
    tallies = Tallies()
    tally = tallies.of(TallyKey("redis", "r", "p", "0", "me"))
    tally.query_seconds.add(0.2)
    tally.pins["watch"] = 3
    return entries(tallies)[0]


@pytest.mark.parametrize(
    "question",
    [
        talk.Apply("{}", contents_of({"/a": b"\xff\x00", "/b": "cannot be read"}), SERVING, 3),
        Count(),
        talk.Servers(ask=True),
        talk.Apply("{}", Contents(), SERVING, paused={RouteId("r"): 2.5}),
        talk.WhichPlan(),
        talk.Busy(RouteId("r")),
        talk.Drain(),
    ],
)
async def test_questions_arrive_as_they_were_asked(question):
    wire = Wire()
    talk.LINE.write_question(wire, question)
    assert await talk.LINE.read_question(wire.reader) == question


@pytest.mark.parametrize(
    "answer",
    [
        Done(),
        Refused("no", in_use=True),
        talk.Plan(),
        talk.Plan(talk.Apply("{}", Contents(), SERVING)),
        talk.Number(2),
        talk.Seen((ServerReport("p", "s:1", "replica", 0.1, 2.0, "slow"),)),
        talk.Counts(
            (entry(),),
            (PoolGauge("p", "s:1", "primary", "d", "u", 1, 2, 3, 4),),
            5,
            6,
            0.5,
            7.5,
            (PORT.address,),
        ),
    ],
)
async def test_answers_arrive_as_they_were_given(answer):
    wire = Wire()
    talk.LINE.write_answer(wire, answer)
    assert await talk.LINE.read_answer(wire.reader) == answer


def test_files_survive_the_way():
    files = {"/a": b"\xff\x00", "/b": "cannot be read"}
    assert contents_of(files).files == files
