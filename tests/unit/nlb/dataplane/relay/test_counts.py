from marchproxy.model.module import InstanceId
from marchproxy.nlb.dataplane.relay.counts import Ledger, RelayCounts, Share, Traffic
from marchproxy.nlb.dataplane.relay.messages import Outcome
from marchproxy.wire.detect import Protocol

A, B = InstanceId("a"), InstanceId("b")


def test_nothing_yet():
    assert Ledger().read([]) == RelayCounts()


def test_open_and_ended_connections_add_up():
    ledger = Ledger()
    ledger.accepted, ledger.turned_away = 4, 1
    for _ in range(3):
        ledger.detected(Protocol.REDIS)
    ledger.joined(A)
    ledger.joined(A)
    ledger.unreachable(B)
    ledger.closed(Outcome.FINISHED, Protocol.REDIS)
    ledger.closed(Outcome.REFUSED, Protocol.REDIS)
    ledger.ended(Share(Protocol.REDIS, A, 10, 20))
    ledger.ended(Share(Protocol.REDIS, None, 5, 0))
    open_now = [Share(Protocol.REDIS, A, 1, 2), Share(None, None, 3, 0)]
    assert ledger.read(open_now) == RelayCounts(
        accepted=4,
        turned_away=1,
        active=2,
        outcomes={Outcome.FINISHED: 1, Outcome.REFUSED: 1},
        protocols={Protocol.REDIS: Traffic(3, 1, 1, 16, 22)},
        targets={A: Traffic(2, 1, 0, 11, 22), B: Traffic(failed=1)},
    )


def test_reading_changes_nothing():
    ledger = Ledger()
    ledger.joined(A)
    ledger.read([Share(Protocol.SSH, A, 1, 2)])
    assert ledger.read([]).targets == {A: Traffic(1)}


def test_targets_that_came_and_went_do_not_pile_up():
    ledger = Ledger()
    for number in range(5000):
        ledger.joined(InstanceId(str(number)))
        ledger.ended(Share(Protocol.SSH, InstanceId(str(number)), 1, 1))
    targets = ledger.read([]).targets
    assert len(targets) <= 1024
    assert targets[InstanceId("4999")] == Traffic(1, 0, 0, 1, 1)
