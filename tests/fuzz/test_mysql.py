"""MySQL's bytes, damaged: a fault or an answer, never another exception, and the same in whatever pieces they come."""

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import read_eof, read_error, read_ok
from marchproxy.wire.mysql.flow import Flow
from marchproxy.wire.mysql.handshake import read_auth_switch, read_change_user, read_greeting, read_login
from marchproxy.wire.mysql.numbers import Capability, Command
from marchproxy.wire.mysql.packets import packet
from marchproxy.wire.mysql.requests import Requests

PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\0\0\0\2\0\0\0", b"\xfe\0\0\2\0", b"\xfe\0\0\x0a\0", b"\1", b"\2", b"\3def", b"\xff\1\2#HY000x"]
    ),
)
STREAMS = st.lists(st.builds(packet, st.integers(0, 255), PAYLOADS), max_size=12).map(b"".join) | st.binary(
    max_size=200
)
COMMANDS = st.lists(st.sampled_from(list(Command)), max_size=4)
CAPABILITIES = st.sampled_from(
    [0, int(Capability.DEPRECATE_EOF), int(Capability.DEPRECATE_EOF | Capability.SESSION_TRACK)]
)


def outcome(flow, pieces):
    try:
        for piece in pieces:
            flow.received(piece)
    except ProtocolFault:
        return "fault"
    return flow.owed, flow.status, flow.between, flow.statements, flow.spoilt


@given(STREAMS, COMMANDS, CAPABILITIES, st.integers(1, 30))
def test_answers(data, commands, capabilities, piece):
    whole, cut = Flow(capabilities), Flow(capabilities)
    for command in commands:
        whole.sent(command)
        cut.sent(command)
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    assert outcome(whole, [data]) == outcome(cut, pieces)


@given(STREAMS, st.integers(1, 30))
def test_commands(data, piece):
    requests, out = Requests(longest=30), b""
    try:
        for start in range(0, len(data), piece):
            passed, found = requests.feed(data[start : start + piece])
            assert all(0 <= request.start < request.end <= len(passed) for request in found)
            out += passed
    except ProtocolFault:
        return
    assert data.startswith(out)


@given(st.binary(max_size=200), CAPABILITIES)
def test_payloads(payload, capabilities):
    for read in (
        read_greeting,
        read_login,
        read_auth_switch,
        read_error,
        read_eof,
        lambda words: read_change_user(words, capabilities),
        lambda words: read_ok(words, capabilities),
    ):
        try:
            read(payload)
        except ProtocolFault:
            continue
