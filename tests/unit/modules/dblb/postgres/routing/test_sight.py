"""Sight: a server's answer as a value."""

import pytest

from marchproxy.modules.dblb.postgres.inquiry import read_row
from marchproxy.modules.dblb.postgres.routing.sight import NotRead, Sight, read_position, read_sight
from marchproxy.wire.fault import ProtocolFault


def test_a_primary_and_a_standby():
    primary = ("f", "0/1920158", "3", None, "off", "read committed", "77", "150018")
    assert read_sight([primary], asked=1.0, latency=0.1) == Sight(
        1.0, 0.1, standby=False, position=0x1920158, timeline=3, behind=None, system="77", version=150018
    )
    standby = ("t", "1A/0", "3", "1.5", "on", "serializable", "77", "150018")
    sight = read_sight([standby], asked=1.0, latency=0.1)
    assert (sight.position, sight.behind, sight.writable, sight.serializable) == (
        0x1A << 32,
        1.5,
        False,
        True,
    )


@pytest.mark.parametrize(
    "rows", [[], [("t",)], [("f", "x", "1", None, "off", "", "", "")], [(None,) * 8] * 2]
)
def test_nonsense_is_refused(rows):
    with pytest.raises(NotRead):
        read_sight(rows, asked=0.0, latency=0.0)


def test_a_standby_that_has_replayed_nothing():
    assert read_position(None) == 0


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (b"\0\2\0\0\0\1x\xff\xff\xff\xff", ("x", None)),
        (b"\0\0", ()),
        (b"\0\1\0\0\0\0", ("",)),
    ],
)
def test_rows(body, row):
    assert read_row(b"D\0\0\0\0" + body) == row


@pytest.mark.parametrize("body", [b"", b"\0\1", b"\0\1\0\0\0\5x", b"\0\1\0\0\0\1xy", b"\0\1\0\0\0\1\xff"])
def test_rows_that_are_none(body):
    with pytest.raises(ProtocolFault):
        read_row(b"D\0\0\0\0" + body)
