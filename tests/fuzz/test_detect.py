"""Any first bytes at all: generated ones, and real ones with parts cut, doubled or replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.detect import ALL, DEFAULT_LIMIT, Detected, NeedMore, Protocol, Unknown, detect, silent
from tests.unit.wire.detect.crafted import CRAFTED, FIRSTS, extension, hello, in_records, server_name

SAMPLES = [data[:600] for data in (FIRSTS | CRAFTED).values()]


@st.composite
def mutated(draw):
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 6))] = draw(st.binary(max_size=6))
    return bytes(data)


@st.composite
def spliced(draw):
    head, tail = (draw(st.sampled_from(SAMPLES)) for _ in range(2))
    return head[: draw(st.integers(0, 40))] + tail[draw(st.integers(0, 40)) :]


@st.composite
def built_hello(draw):
    extensions = server_name(draw(st.binary(max_size=20)))
    for _ in range(draw(st.integers(0, 3))):
        extensions += extension(draw(st.sampled_from([0, 16, 43, 0x0A0A])), draw(st.binary(max_size=12)))
    extensions += draw(st.binary(max_size=8))
    message = hello(extensions, suites=draw(st.binary(max_size=6)))
    return in_records(message, draw(st.integers(2, len(message))))


texts = st.text(alphabet="GETPINGHSadmin /*$.:\r\n1203", max_size=60).map(str.encode)
first_bytes = st.one_of(st.binary(max_size=300), texts, mutated(), spliced(), built_hello())
protocols = st.frozensets(st.sampled_from(sorted(Protocol, key=lambda protocol: protocol.value)))


@given(first_bytes, protocols, st.integers(1, 400))
def test_a_prefix_is_never_answered_wrongly(data, enabled, limit):
    *prefixes, final = [detect(data[:size], enabled, limit=limit) for size in range(len(data) + 1)]
    assert all(isinstance(verdict, NeedMore) or verdict == final for verdict in prefixes)


@given(first_bytes, st.binary(min_size=1), st.integers(1, 2000))
def test_need_more_says_how_much(data, more, limit):
    verdict = detect(data, ALL, limit=limit)
    if isinstance(verdict, NeedMore):
        assert 0 < verdict.most <= limit - len(data)
        filled = data + (more * verdict.most)[: verdict.most]
        assert not isinstance(detect(filled, ALL, limit=limit), NeedMore)


@given(first_bytes, protocols)
def test_enabling_more_never_changes_what_bytes_mean(data, enabled):
    few, every = detect(data, enabled), detect(data, ALL)
    if isinstance(few, Detected):
        assert few == every
        assert few.protocol in enabled
    elif isinstance(every, Detected) and every.protocol in enabled:
        pytest.fail(f"{every} is enabled, yet {few}")


@given(st.integers(1, 255), st.binary(min_size=1, max_size=64))
def test_nothing_is_undecided_at_the_limit(first, pattern):
    data = bytes([first]) + pattern * (DEFAULT_LIMIT // len(pattern) + 1)
    assert not isinstance(detect(data, ALL), NeedMore)


@given(first_bytes)
def test_what_a_hello_tells_can_be_shown_and_compared(data):
    verdict = detect(data, ALL)
    if isinstance(verdict, Detected):
        assert verdict.sni.isascii()
        assert verdict.sni == verdict.sni.lower()
        assert verdict.sni.isprintable()
        assert all(1 <= len(name) <= 255 for name in verdict.alpn)


@given(protocols)
def test_silence_is_mysql_or_nothing(enabled):
    assert (silent(enabled) == Unknown()) == (Protocol.MYSQL not in enabled)
