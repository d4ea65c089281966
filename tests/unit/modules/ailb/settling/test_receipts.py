"""What a relay need not speak of again."""

from marchproxy.modules.ailb.settling.hearing import RelayLines
from marchproxy.modules.ailb.settling.receipts import Receipts
from marchproxy.modules.ailb.settling.report import Ending, Report


class Transport:
    def __init__(self):
        self.said, self.aborted, self.unheard = b"", False, 0

    def write(self, data):
        self.said += data

    def get_write_buffer_size(self):
        return self.unheard

    def abort(self):
        self.aborted = True


class Relay:
    def __init__(self, receipts, first=100):
        self.transport = Transport()
        self.garbled = 0
        self._receipts = receipts
        self.lines = RelayLines(first, self._heard, self._note)
        self.lines.connection_made(self.transport)

    def _heard(self, report, line):
        if report.number % 2:
            return False
        self._receipts.owe(report.number, line)
        return True

    def _note(self):
        self.garbled += 1

    def says(self, *numbers):
        self.lines.data_received(b"".join(Report(number, Ending.COMPLETE).encode() for number in numbers))


def test_each_relay_is_told_of_its_own():
    receipts = Receipts()
    one, other = Relay(receipts), Relay(receipts)
    one.says(2, 4, 5)
    other.says(6)
    receipts.give([4, 6, 8])
    receipts.give([4])
    assert (one.transport.said, other.transport.said) == (b"100\n5\n4\n", b"100\n6\n")
    assert len(receipts) == 1


def test_one_that_has_gone_is_told_nothing():
    receipts = Receipts(most=2)
    relay = Relay(receipts)
    relay.says(2)
    relay.lines.connection_lost(None)
    receipts.give([2])
    assert relay.transport.said == b"100\n"
    relay.says(2, 4, 6)
    assert len(receipts) == 2


def test_one_that_does_not_listen_is_hung_up_on():
    receipts = Receipts()
    relay = Relay(receipts)
    relay.says(2)
    relay.transport.unheard = 2 << 20
    receipts.give([2])
    assert relay.transport.aborted
