"""PROXY protocol headers, whole and damaged: understood in full or refused, and never read two ways."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.kit.settings import HostPort
from marchproxy.nlb.dataplane.relay.header import encode_header
from marchproxy.wire.proxy_protocol import LONGEST_V2, Address, Header, MalformedHeader, parse

PORTS = st.integers(0, 65535)
V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6).filter(
    lambda host: host.ipv4_mapped is None
)  # those are written as what they stand for
PAIRS = st.tuples(V4, V4) | st.tuples(V6, V6)
# a field that another reader might take for a line's end, a space, a number or an address
WORDS = st.sampled_from(
    ["", "TCP4", "TCP6", "UNKNOWN", "1.2.3.4", "::1", "::1%lo", "0", "00", "65536", "+1", "\n", "١"]
)


def version_1(source, destination, ports):
    word = "TCP4" if source.version == 4 else "TCP6"
    return f"PROXY {word} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def version_2(command, family, body):
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, family, len(body)) + body


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


@st.composite
def built(draw):
    """Headers of both versions, with every field a little off at times."""
    command, family = (
        draw(st.sampled_from([0x20, 0x21, 0x21, 0x11, 0x22])),
        draw(st.sampled_from([0, 0x11, 0x21, 0x31, 0x12])),
    )
    tlvs = b"".join(
        tlv(*item)
        for item in draw(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=9)), max_size=2))
    )
    body = draw(st.binary(max_size=40) | st.just(bytes(12)) | st.just(bytes(36))) + tlvs
    return version_2(command, family, body)


@st.composite
def damaged(draw):
    data = bytearray(draw(st.one_of(built(), st.builds(version_1, V4, V4, st.tuples(PORTS, PORTS)))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


lines = st.lists(WORDS, max_size=7).map(lambda words: " ".join(["PROXY", *words]).encode() + b"\r\n")
inputs = st.one_of(st.binary(max_size=60), built(), damaged(), lines)


def outcome(data):
    try:
        return parse(data)
    except MalformedHeader:
        return MalformedHeader


@given(inputs, st.binary(max_size=20))
def test_an_answer_is_final_and_no_byte_behind_the_header_counts(data, more):
    *prefixes, whole = [outcome(data[:size]) for size in range(len(data) + 1)]
    for size, found in enumerate(prefixes):
        assert found is None or found == whole
        if isinstance(found, Header):
            assert 0 < found.size <= size
    if whole is not None:
        assert outcome(data + more) == whole


@given(inputs)
def test_addresses_are_plain_ones(data):
    found = outcome(data)
    if isinstance(found, Header):
        assert (found.source is None) == (found.destination is None)
        for side in (found.source, found.destination):
            if side is not None:
                assert str(ip_address(side.host)) == side.host
                assert 0 <= side.port <= 65535


@given(inputs)
def test_nothing_is_waited_for_without_end(data):
    filled = data + bytes(16 + LONGEST_V2)
    assert outcome(filled) is not None


@given(PAIRS, st.tuples(PORTS, PORTS), st.binary(max_size=20))
def test_what_is_written_is_read(pair, ports, more):
    source, destination = (HostPort(str(host), port) for host, port in zip(pair, ports, strict=True))
    expected = [Address(side.host, side.port) for side in (source, destination)]
    for header in (encode_header(source, destination), version_1(*pair, ports)):
        assert outcome(header + more) == Header(len(header), *expected)


@given(V4, V6, st.tuples(PORTS, PORTS))
def test_mixed_families_are_written_as_ipv6(first, second, ports):
    found = outcome(encode_header(HostPort(str(first), ports[0]), HostPort(str(second), ports[1])))
    assert found.source == Address(str(IPv6Address(f"::ffff:{first}")), ports[0])
    assert IPv4Address(first) == IPv6Address(found.source.host).ipv4_mapped
