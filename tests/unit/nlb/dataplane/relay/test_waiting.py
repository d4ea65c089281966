from marchproxy.nlb.dataplane.relay.waiting import WaitingRooms


def test_due_in_order_and_once():
    rooms = WaitingRooms({"short": 1.0, "long": 5.0})
    rooms.enter("long", "a", 0.0)
    rooms.enter("short", "a", 0.0)
    rooms.enter("short", "b", 0.5)
    assert rooms.take_due(0.9) == []
    assert rooms.take_due(1.0) == [("short", "a")]
    assert rooms.take_due(5.0) == [("short", "b"), ("long", "a")]
    assert rooms.take_due(100.0) == []


def test_entering_again_begins_anew_and_moves_behind():
    rooms = WaitingRooms({"idle": 1.0})
    rooms.enter("idle", "a", 0.0)
    rooms.enter("idle", "b", 0.5)
    rooms.enter("idle", "a", 0.9)
    assert rooms.take_due(1.5) == [("idle", "b")]
    assert rooms.take_due(1.9) == [("idle", "a")]


def test_leaving():
    rooms = WaitingRooms({"idle": 1.0, "linger": 1.0})
    for who in "abc":
        rooms.enter("idle", who, 0.0)
        rooms.enter("linger", who, 0.0)
    rooms.leave("idle", "a")
    rooms.leave("idle", "a")
    rooms.leave_all("b")
    assert rooms.take_due(1.0) == [("idle", "c"), ("linger", "a"), ("linger", "c")]


def test_no_time_is_for_ever():
    rooms = WaitingRooms({"idle": 0.0})
    rooms.enter("idle", "a", 0.0)
    assert rooms.take_due(1e9) == []


def test_waits_of_one_kind_and_several_lengths():
    rooms = WaitingRooms({"idle": 0.0})
    rooms.enter("idle", "a", 0.0, 5.0)
    rooms.enter("idle", "b", 0.0, 1.0)
    rooms.enter("idle", "c", 0.0, 1.0)
    rooms.enter("idle", "c", 0.0, 5.0)
    rooms.leave("idle", "a")
    assert rooms.take_due(10.0) == [("idle", "c"), ("idle", "b")]
    assert not rooms.take_due(99.0)
