"""MongoDB's messages, whole and damaged: understood or refused by a ProtocolFault, never by anything else."""

from contextlib import suppress

import bson
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import bson as ours
from marchproxy.wire.mongodb import message
from marchproxy.wire.mongodb.command import cursor_of, has_ended, read_command, read_query, refusal_of
from marchproxy.wire.mongodb.framing import HEADER, Framer

LONGEST = 4096
NAMES = st.sampled_from(["$db", "lsid", "cursor", "id", "ok", "code", "getMore", "a", "cursors"])
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.binary(max_size=5),
    st.integers(0, 9).map(bson.Int64),
)
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
)


def op_msg(document, flags=0, sequence=b""):
    body = flags.to_bytes(4, "little") + b"\0" + bson.encode(document)
    if sequence:
        body += b"\1" + (len(sequence) + 6).to_bytes(4, "little") + b"d\0" + sequence
    return HEADER.pack(16 + len(body), 7, 0, 2013) + body


@st.composite
def damaged(draw):
    data = bytearray(
        op_msg(draw(DOCUMENTS), draw(st.sampled_from([0, 0, 1, 2, 4])), draw(st.binary(max_size=9)))
    )
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


def readings(data):
    for read in (read_command, read_query, cursor_of, refusal_of):
        try:
            yield read(data)
        except ProtocolFault:
            yield None


@given(damaged() | st.binary(max_size=80))
def test_damage_is_refused_and_what_is_read_lies_within(data):
    command, *_ = readings(data)
    if command is not None:
        assert all(command.start < start <= end < command.end for _, start, end in command.places.values())


@given(DOCUMENTS, st.integers(-1, 1), st.integers(0, 120), st.integers(0, 255))
def test_what_one_look_tells_the_fields_tell(document, number, at, byte):
    cursor = {"firstBatch": [document], "id": bson.Int64(number), "ns": "a.b"}
    data = bytearray(op_msg({"cursor": cursor, **document}))
    data[min(at, len(data) - 1)] = byte
    answer = bytes(data)
    if has_ended(answer):
        with suppress(ProtocolFault):  # of what stands behind the cursor
            found = cursor_of(answer)
            assert found is not None
            assert not found.number


@given(damaged() | st.binary(max_size=80))
def test_what_is_compressed_is_refused_or_bounded(data):
    with suppress(ProtocolFault):
        assert len(message.inflated(data, longest=LONGEST)) <= LONGEST


@given(DOCUMENTS)
def test_fields_are_found_as_the_drivers_own_library_finds_them(document):
    data = bson.encode(document)
    places = ours.fields(data, 0, len(data))
    assert [name.decode() for name in places] == list(document)
    for (name, place), value in zip(places.items(), document.values(), strict=True):
        if isinstance(value, str):
            assert ours.text(data, place) == value
        elif isinstance(value, int):
            assert ours.number(data, place) == value, name


@given(DOCUMENTS)
def test_what_we_write_is_what_the_drivers_own_library_reads(document):
    assert bson.decode(ours.encode(document)) == document


@given(st.lists(DOCUMENTS, max_size=4), st.lists(st.integers(1, 40), min_size=1))
def test_messages_are_cut_the_same_however_they_arrive(documents, sizes):
    messages = [op_msg(document) for document in documents]
    stream, framer, found, turn = b"".join(messages), Framer(1 << 20), [], 0
    while stream:
        size = sizes[turn % len(sizes)]
        found += framer.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert found == messages
    assert framer.between


@given(DOCUMENTS)
def test_compressed_and_back(document):
    data = op_msg(document)
    assert message.inflated(message.deflated(data), longest=1 << 20) == data
