"""Bytes of all kinds: what is told does not depend on how they are cut, and nothing but ProtocolFault is raised."""

import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.flow import Flow
from marchproxy.wire.mysql.handshake import read_change_user, read_greeting, read_login
from marchproxy.wire.mysql.numbers import Capability, Command, Status
from marchproxy.wire.mysql.packets import counted, packet
from marchproxy.wire.mysql.requests import Requests
from marchproxy.wire.mysql.results import PrepareResult, Refused, Result
from marchproxy.wire.mysql.sha_crypt import read_verifier

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
STATUS = st.sampled_from(
    [Status.AUTOCOMMIT, Status.IN_TRANS, Status.MORE_RESULTS | 2, Status.CURSOR_EXISTS | 2]
)
OK = STATUS.map(lambda status: bytes(3) + struct.pack("<HH", status, 0))
EOF = STATUS.map(lambda status: b"\xfe" + struct.pack("<HH", 0, status))
LATE_OK = OK.map(lambda words: b"\xfe" + words[1:])
ODD = st.binary(min_size=1, max_size=12)
#: Packets of which most sequences of a server are made, and some that are in none.
PACKETS = st.lists(
    st.one_of(OK, EOF, LATE_OK, st.sampled_from([b"\x01", b"\x02", b"\x03def", b"\x01x", b"\xff\x28\x04#42000no"]), ODD),
    max_size=12,
)  # fmt: skip
COMMANDS = st.lists(
    st.sampled_from([Command.QUERY, Command.STMT_PREPARE, Command.STMT_EXECUTE, Command.PING, Command.STATISTICS]),
    min_size=1,
    max_size=3,
)  # fmt: skip
CAPABILITIES = st.sampled_from(
    [0, int(Capability.DEPRECATE_EOF), int(Capability.DEPRECATE_EOF | Capability.SESSION_TRACK)]
)


def told(capabilities, commands, pieces):
    flow = Flow(capabilities)
    flow.prepared = []
    for command in commands:
        flow.sent(command)
    try:
        for piece in pieces:
            flow.received(piece)
    except ProtocolFault:
        return "fault"
    return flow.owed, flow.between, flow.status, flow.statements, flow.errors, flow.prepared


@PATIENT
@given(CAPABILITIES, COMMANDS, PACKETS)
def test_a_flow_is_told_the_same_however_it_is_cut(capabilities, commands, payloads):
    data = b"".join(packet(at + 1, payload) for at, payload in enumerate(payloads))
    by_packet = [packet(at + 1, payload) for at, payload in enumerate(payloads)]
    by_byte = [bytes((byte,)) for byte in data]
    assert told(capabilities, commands, [data]) == told(capabilities, commands, by_byte)
    assert told(capabilities, commands, by_packet) == told(capabilities, commands, by_byte)


@PATIENT
@given(st.lists(st.tuples(st.sampled_from(list(Command)), st.binary(max_size=20)), max_size=5), st.data())
def test_requests_are_found_however_they_are_cut(commands, data):
    words = b"".join(packet(0, bytes((command,)) + rest) for command, rest in commands)
    requests, forwarded, found, at = Requests(longest=1000), b"", [], 0
    while at < len(words):
        end = data.draw(st.integers(at + 1, len(words)))
        passed, some = requests.feed(words[at:end])
        forwarded += passed
        found += [request.command for request in some]
        at = end
    assert (forwarded, found) == (words, [command for command, _ in commands])


@PATIENT
@given(st.binary(max_size=80), CAPABILITIES)
def test_what_makes_no_sense_is_a_fault_and_nothing_else(payload, capabilities):
    readers = (
        read_greeting,
        read_login,
        lambda words: read_change_user(words, int(Capability.PLUGIN_AUTH | Capability.CONNECT_ATTRS)),
        lambda words: Result(capabilities).feed(words or b"\0"),
        lambda words: PrepareResult(capabilities).feed(words or b"\0"),
        read_verifier,
    )
    for reader in readers:
        try:
            reader(payload)
        except (ProtocolFault, Refused):
            continue


@PATIENT
@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=20), max_size=5), st.text(max_size=10))
def test_the_program_is_read_from_whatever_attributes(attributes, program):
    attributes.pop(b"program_name", None)
    pairs = [*attributes.items(), (b"program_name", program.encode())]
    words = b"".join(counted(name) + counted(value) for name, value in pairs)
    capabilities = (
        Capability.PROTOCOL_41
        | Capability.SECURE_CONNECTION
        | Capability.PLUGIN_AUTH
        | Capability.CONNECT_ATTRS
    )
    head = struct.pack("<IIB23x", capabilities, 1 << 24, 45)
    assert read_login(head + b"me\0" + b"\0" + b"plugin\0" + counted(words)).program == program
