"""What the ledger reads from disk: any bytes are something, or nothing with a reason."""

import json
import zlib
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.kit.settings import SettingsError
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.keys import KeyRing, read_keys
from marchproxy.modules.ailb.ledger import Totals, Who, entry, snapshot
from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.periods import today

NOW = 1_900_000_000 * 10**9
TEXTS = st.text(st.characters(codec=None), max_size=20)  # lone surrogates, too
COUNTS = st.integers(0, 2**62)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
WHOLE = json.loads(Entry(NOW, 1, "r", Who("k"), "m", "p", Usage(1, 2, 3), 4, "complete", True).encode())


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_as_an_entry(data):
    with suppress(entry.Garbled):
        entry.decode(data)


@given(
    st.dictionaries(
        st.sampled_from(sorted(WHOLE)), JSON | st.just("9999-12-31T23:59:59+00:00"), min_size=1, max_size=3
    )
)
def test_an_entry_with_other_values(changed):
    with suppress(entry.Garbled):
        found = entry.decode(json.dumps(WHOLE | changed).encode())
        Totals().add(found.who, found.model, found.cost, today(found.at))
        assert entry.decode(found.encode()) == entry.decode(entry.decode(found.encode()).encode())


@given(st.builds(
    Entry,
    st.integers(0, 4_000_000_000_000).map(lambda at: at * 1_000_000),
    COUNTS, TEXTS, st.builds(Who, TEXTS, TEXTS, TEXTS), TEXTS, TEXTS,
    st.builds(Usage, COUNTS, COUNTS, COUNTS), COUNTS, TEXTS, st.booleans(),
))  # fmt: skip
def test_entries_come_back(given_entry):
    line = given_entry.encode()
    assert line.find(b"\n") == len(line) - 1
    assert entry.decode(line) == given_entry


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_any_bytes_as_a_snapshot(data, has_head):
    if has_head:
        head = {"format": 1, "file": 1, "offset": 1, "crc32": zlib.crc32(data)}
        data = json.dumps(head).encode() + b"\n" + data
    with suppress(snapshot.Unusable):
        snapshot.decode(data).restore(Totals(), today(NOW))


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps({"virtual_keys": value}).encode()))
def test_any_bytes_as_a_file_of_keys(data):
    with suppress(SettingsError):
        KeyRing(read_keys(data, "keys.yaml"))


@given(TEXTS)
def test_any_text_as_a_key(shown):
    KeyRing(()).find(shown, NOW)
