import os

import pytest

from marchproxy.cli.down.places import find_places
from marchproxy.cli.record import SERVICE, recorded
from marchproxy.cli.up.parts import Folders
from marchproxy.kit.settings import SettingsError


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def leave_record(home, file):
    """As a process that was killed."""
    try:
        with recorded(home / SERVICE, file):
            raise InterruptedError
    except InterruptedError:
        return home


def test_the_folders_of_up_are_the_files_and_others_only_by_their_record(tmp_path):
    beside = tmp_path / "beside"
    file = write(
        tmp_path / "a.yaml",
        f"nlb: {{id: n, state_dir: {beside}, drain_seconds: 5}}\n"
        f"manager: {{id: g, state_dir: {beside}, drain_seconds: 2}}\n"
        f"modules: [{{id: m, type: alb, state_dir: {beside}, drain_seconds: 3}}]\n",
    )
    folders = Folders(tmp_path / "state")
    for name in ("x", "logs"):
        (folders.state / name).mkdir(parents=True)
    leave_record(beside / "n", tmp_path / "another.yaml")
    leave_record(beside / "m", file)
    leave_record(beside / "g", file)
    leave_record(beside / "m.2", folders.running_file)
    places = find_places(file, folders, os.environ)
    assert places.homes == (beside / "g", beside / "m", beside / "m.2", folders.state / "x")
    assert places.patience == 45.0


def test_a_file_that_cannot_be_read_is_told_only_when_it_never_was_up(tmp_path):
    file, folders = tmp_path / "gone.yaml", Folders(tmp_path / "state")
    with pytest.raises(SettingsError):
        find_places(file, folders, os.environ)
    (folders.state / "n").mkdir(parents=True)
    assert find_places(file, folders, os.environ).homes == (folders.state / "n",)
