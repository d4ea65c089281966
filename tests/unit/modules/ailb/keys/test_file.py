"""Files of keys, and where they are wrong."""

import pytest

from marchproxy.kit.settings import SettingsError
from marchproxy.modules.ailb.keys import digest, read_keys

HASH = digest("sk-ann")
GOOD = f"""\
virtual_keys:
  - id: ann
    hash: {HASH}
    team: red
    models: [gpt-*]
"""


def test_a_file_is_the_documents_section():
    (key,) = read_keys(GOOD.encode(), "keys.yaml")
    assert (key.key_id, key.team, key.models) == ("ann", "red", ("gpt-*",))
    assert read_keys(b"", "keys.yaml") == ()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("  - id: bob\n    hash: sk-secret\n", 7),
        (f"  - id: bob\n    hash: {HASH}\n", 7),
        ("  - id: bob\n", 6),
        (f"  - id: bob\n    hash: {'b' * 64}\n    modles: []\n", 8),
        (f"  - id: bob\n    hash: {'b' * 64}\n    models: [a, '*b']\n", 8),
        ("  - [\n", 7),
        ("other: 1\n", 6),
    ],
)
def test_faults_name_their_line_and_no_secret(more, line):
    with pytest.raises(SettingsError) as caught:
        read_keys((GOOD + more).encode(), "keys.yaml")
    assert [(one.line, one.file) for one in caught.value.problems] == [(line, "keys.yaml")]
    assert "secret" not in str(caught.value)
    assert HASH not in str(caught.value)


def test_bytes_that_are_no_text():
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_keys(b"\xff\xfe", "keys.yaml")
