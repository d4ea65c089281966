import os

import pytest

from marchproxy.cli.record import locked, read_record, recorded
from marchproxy.engines.envoy.handle import read_start_ticks
from marchproxy.kit.settings import SettingsError


def test_a_record_tells_who_holds_it_and_is_empty_after_a_clean_end(tmp_path):
    path, file = tmp_path / "new" / "lock", tmp_path / "a.yaml"
    with recorded(path, file) as ours:
        assert ours
        found = read_record(path)
        assert found is not None
        assert (found.pid, found.start_ticks) == (os.getpid(), read_start_ticks(os.getpid()))
        assert found.fingerprint == str(file)
        with recorded(path, tmp_path / "b.yaml") as others, locked(path) as free:
            assert not others
            assert not free
        assert read_record(path) == found
    assert read_record(path) is None
    with locked(path) as free:
        assert free


def test_a_record_outlives_a_failure(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(OSError), recorded(path, tmp_path / "a.yaml"):  # noqa: PT011 - raised here
        raise OSError
    with locked(path) as free:
        assert free
    assert read_record(path).fingerprint == str(tmp_path / "a.yaml")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a" / "lock"
    with (
        pytest.raises(SettingsError, match=r"file/a cannot be used: Not a directory"),
        recorded(path, tmp_path),
    ):
        pass


def test_there_may_be_none(tmp_path):
    assert read_record(tmp_path / "lock") is None
