"""What requests of a relay share."""

from pathlib import Path

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.ailb.relay.link import Links
from marchproxy.modules.ailb.relay.office import Office
from marchproxy.modules.ailb.relay.plan import Ways


class Request:
    def __init__(self):
        self.looks = []

    def check(self, now):
        self.looks.append(now)


def test_requests_are_looked_at_in_the_rhythm_of_the_ways():
    clock, request = VirtualClock(), Request()
    office = Office(None, Links(Path("egress"), clock), None, None)
    office.now = clock.monotonic
    office.begun(request)
    for _ in range(20):
        clock.advance(0.125)
        office.tick()
    assert request.looks == [0.125, 0.625, 1.125, 1.625, 2.125]
    office.ways = Ways(rhythm=0.05)
    clock.advance(0.5)
    for _ in range(3):
        office.tick()
        clock.advance(0.125)
    assert request.looks[5:] == [3.0, 3.125, 3.25]
