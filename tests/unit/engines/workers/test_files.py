"""Files that a state names: what they hold, and when they count as changed."""

import pytest

from marchproxy.engines.workers import files
from marchproxy.engines.workers.files import FileWatch, read_files


def test_what_cannot_be_read_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LARGEST", 3)
    (tmp_path / "fits").write_bytes(b"abc")
    (tmp_path / "large").write_bytes(b"abcd")
    names = [str(tmp_path / name) for name in ("fits", "large", "none")]
    assert list(read_files(names).values()) == [
        b"abc",
        "is larger than 3 bytes",
        "cannot be read: No such file or directory",
    ]


def test_a_change_counts_once_it_was_left_alone(tmp_path):
    file = tmp_path / "users"
    file.write_text("a")
    watch = FileWatch([str(file)])
    assert [watch.look() for _ in range(3)] == [
        False,
        True,
        False,
    ]  # it may have changed before the first look
    file.write_text("half")
    assert watch.look() is False
    file.write_text("all of it")
    assert [watch.look() for _ in range(3)] == [False, True, False]
    file.unlink()
    assert [watch.look() for _ in range(3)] == [False, True, False]


@pytest.mark.parametrize("looks", [1, 3])
def test_nothing_never_changes(looks):
    watch = FileWatch()
    assert not any(watch.look() for _ in range(looks))
