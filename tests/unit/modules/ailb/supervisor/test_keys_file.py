"""A file of virtual keys: what was good before stays in force."""

import pytest

from marchproxy.kit.settings import SettingsError
from marchproxy.modules.ailb.supervisor.keys_file import KeysFile

GOOD = b'virtual_keys: [{id: a, hash: "%064d"}]\n'


def look(keys):
    """A change counts once it was left alone from one look to the next."""
    return [keys.look() for _ in range(2)][-1]


def test_without_a_file_there_is_nothing_to_look_at():
    keys = KeysFile(None)
    assert (keys.content, keys.path, look(keys), keys.trouble) == (b"", "", False, "")


@pytest.mark.parametrize("content", [None, b"virtual_keys: [{id: a, hash: short}]", b"\xff"])
def test_a_file_that_was_never_good_keeps_from_starting(tmp_path, content):
    path = tmp_path / "keys.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"keys\.yaml"):
        KeysFile(path)


def test_a_change(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_bytes(GOOD % 1)
    keys = KeysFile(path)
    look(keys)
    path.write_bytes(GOOD % 222)
    assert look(keys)
    assert keys.content == GOOD % 222
    path.write_bytes(b"half writ")
    assert not look(keys)
    assert keys.content == GOOD % 222
    assert "keys.yaml" in keys.trouble
    path.write_bytes(GOOD % 33333)
    assert look(keys)
    assert keys.trouble == ""
