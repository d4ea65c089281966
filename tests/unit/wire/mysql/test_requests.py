"""Commands are found in whatever pieces they come, and long ones stepped over."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.numbers import Command
from marchproxy.wire.mysql.packets import packet
from marchproxy.wire.mysql.requests import Requests, UnknownCommand

SAID = [b"\x03select 1", b"\x0e", b"\x17" + bytes(90), b"\x16select ?", b"\x03" + b"x" * 70, b"\x01"]


@pytest.mark.parametrize("piece", [1, 2, 5, 7, 1000])
def test_commands_in_pieces(piece):
    data = b"".join(packet(0, payload) for payload in SAID)
    requests, seen, out = Requests(longest=50), [], b""
    for start in range(0, len(data), piece):
        passed, found = requests.feed(data[start : start + piece])
        out += passed
        seen += [(request.command, request.whole) for request in found]
    assert out == data
    assert [command for command, _ in seen] == [payload[0] for payload in SAID]
    assert all(
        whole for command, whole in seen if command in {Command.PING, Command.QUIT, Command.STMT_PREPARE}
    )
    assert requests.between


def test_a_command_in_two_packets_is_one():
    requests = Requests(longest=50)
    data = packet(0, b"\x03" + bytes(0xFFFFFF)) + packet(0, b"\x0e")
    _, found = requests.feed(data)
    assert [(request.command, request.whole) for request in found] == [
        (Command.QUERY, False),
        (Command.PING, True),
    ]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (packet(0, b""), ProtocolFault),
        (packet(1, b"\x0e"), ProtocolFault),
        (packet(0, b"\x77"), UnknownCommand),
    ],
)
def test_what_breaks_the_protocol(data, fault):
    with pytest.raises(fault):
        Requests(longest=50).feed(data)
