import pytest

from marchproxy.wire import flv
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.aggregate import split_aggregate
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message, Type

_PARTS = [Message(AUDIO, 1, 70, b"one"), Message(VIDEO, 1, 90, b"two"), Message(AUDIO, 1, 110, b"")]


def _aggregate(timestamp: int, parts: list[Message]) -> Message:
    return Message(Type.AGGREGATE, 1, timestamp, b"".join(map(flv.tag, parts)), 4)


@pytest.mark.parametrize(
    ("timestamp", "times"),
    [
        (70, [70, 90, 110]),
        (1000, [1000, 1020, 1040]),
        (0xFFFF_FFF0, [0xFFFF_FFF0, 4, 24]),  # times wrap within it
    ],
)
def test_parts_are_so_much_later_than_the_first(timestamp: int, times: list[int]) -> None:
    found = split_aggregate(_aggregate(timestamp, _PARTS))
    assert found == [one._replace(timestamp=time, csid=4) for one, time in zip(_PARTS, times, strict=True)]


def test_nothing_in_it_is_nothing() -> None:
    assert split_aggregate(Message(Type.AGGREGATE, 1, 0, b"")) == []


@pytest.mark.parametrize("left", range(1, 14))
def test_a_part_that_is_cut_off_is_a_fault(left: int) -> None:
    whole = flv.tag(_PARTS[0])
    with pytest.raises(ProtocolFault, match="reaches over"):
        split_aggregate(Message(Type.AGGREGATE, 1, 0, whole + whole[:left]))
