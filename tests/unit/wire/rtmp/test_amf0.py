import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import amf0
from marchproxy.wire.rtmp.amf0 import UNDEFINED, Date, EcmaArray, Reference, Typed, Xml, decode, encode


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (1.0, "003ff0000000000000"),
        (True, "0101"),
        (False, "0100"),
        ("live", "0200046c697665"),
        ({"a": None}, "03 0001 61 05 000009"),
        (UNDEFINED, "06"),
        (Reference(2), "070002"),
        (EcmaArray({"a": True}), "08 00000001 0001 61 0101 000009"),
        (["x", None], "0a 00000002 02 0001 78 05"),
        (Date(0.0, 60), "0b 0000000000000000 003c"),
        (Xml("<a/>"), "0f 00000004 3c612f3e"),
        (Typed("T", {"a": None}), "10 0001 54 0001 61 05 000009"),
        ({}, "03 000009"),
    ],
)
def test_each_type_is_written_and_read(value, encoded):
    assert encode(value) == bytes.fromhex(encoded)
    (found,) = decode(bytes.fromhex(encoded))
    assert found == value
    assert type(found) is type(value)


def test_a_text_that_is_long_has_a_long_length():
    text = "x" * 65_536
    encoded = encode(text)
    assert encoded[:5] == b"\x0c\x00\x01\x00\x00"
    assert decode(encoded) == [text]
    assert encode(text[1:])[:3] == b"\x02\xff\xff"


def test_a_name_that_does_not_fit_is_our_mistake():
    with pytest.raises(ValueError, match="65536 bytes"):
        encode({"x" * 65_536: 1.0})


@pytest.mark.parametrize(
    ("encoded", "found"),
    [
        ("08 00000007 0001 61 05 000009", [{"a": None}]),  # the number of fields is a hint
        ("08 00000001 0001 61 05", [{"a": None}]),  # and the end is left out by some
        ("0d", [UNDEFINED]),
        ("02 0001 ff", ["\N{REPLACEMENT CHARACTER}"]),
        ("01 07", [True]),
        ("", []),
    ],
)
def test_what_encoders_get_wrong_is_tolerated(encoded, found):
    assert decode(bytes.fromhex(encoded)) == found


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("00 3ff0", "cut off"),
        ("02 0005 61", "cut off"),
        ("02", "cut off"),
        ("03 0001 61 05", "cut off"),
        ("0a ffffffff 05", "does not fit"),
        ("08 ffffffff 0001", "cut off"),
        ("0c ffffffff 61", "cut off"),
        ("09", "0x09"),
        ("11 01", "0x11"),
        ("ff", "0xff"),
    ],
)
def test_what_breaks_the_format_is_a_fault(encoded, why):
    with pytest.raises(ProtocolFault, match=why):
        decode(bytes.fromhex(encoded))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x0a\x00\x00\x00\x01" * 100_000,  # arrays within arrays
        b"\x03\x00\x01a" * 100_000,  # objects within objects
        b"\x05" * 100_000,
        b"\x0a\x00\x01\x80\x00" + b"\x05" * 98_304,
        b"\x03" + b"\x00\x01a\x05" * 50_000,
    ],
)
def test_bombs_are_bounded(bomb):
    with pytest.raises(ProtocolFault, match=r"more than|does not fit"):
        decode(bomb)


def test_as_deep_as_allowed():
    value: amf0.Value = "core"
    for _ in range(amf0.DEEPEST):
        value = {"a": value}
    assert decode(encode(value)) == [value]
    with pytest.raises(ProtocolFault, match="deep"):
        decode(encode({"a": value}))


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    names,
    st.just(UNDEFINED),
    st.builds(Date, st.floats(allow_nan=False), st.integers(-720, 720)),
    st.builds(Reference, st.integers(0, 65_535)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(names, inner, max_size=4),
        st.dictionaries(names, inner, max_size=4).map(EcmaArray),
        st.builds(Typed, names, st.dictionaries(names, inner, max_size=4)),
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4))
def test_what_is_written_is_read(items):
    assert decode(encode(*items)) == items
